//! Conditions, changes and filters in the table's own language.
//!
//! Every name and value is passed beside the text of the expression, so no key or body can change its meaning.

use super::item::{
    self, EXPIRY_MS, INDEX_NAME_ATTRIBUTE, INDEX_SORT_ATTRIBUTE, PARTITION_ATTRIBUTE, SORT_ATTRIBUTE,
    VERSION, number, text,
};
use super::{Assumption, Item};
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use shared::domain::time::Timestamp;
use shared::ports::{Condition, IndexEntry, Key};
use std::collections::HashMap;

/// Nothing unexpired has the key.
const ABSENT: &str = "(attribute_not_exists(#pk) OR #x <= :now)";
/// An unexpired document has exactly this version.
const OF_VERSION: &str = "(#v = :v AND (attribute_not_exists(#x) OR #x > :now))";
/// Nothing expired has the key.
const NOT_EXPIRED: &str = "(attribute_not_exists(#x) OR #x > :now)";
/// Something expired has the key.
const EXPIRED: &str = "(#x <= :now)";

/// An expression with its names and values.
#[derive(Debug, Default, Clone)]
pub(super) struct Expression {
    pub(super) text: String,
    pub(super) names: HashMap<String, String>,
    pub(super) values: HashMap<String, AttributeValue>,
}

impl Expression {
    fn name(&mut self, placeholder: &str, name: &str) {
        self.names.insert(placeholder.to_owned(), name.to_owned());
    }

    fn value(&mut self, placeholder: &str, value: AttributeValue) {
        self.values.insert(placeholder.to_owned(), value);
    }

    fn of_condition(text: &str, now: Timestamp) -> Self {
        let mut expression = Self { text: text.to_owned(), ..Self::default() };
        expression.name("#x", EXPIRY_MS);
        expression.value(":now", number(now.0));
        expression
    }
}

/// The condition of a write; `None` = none. An unconditional put checks what it assumes.
pub(super) fn condition(condition: Condition, now: Timestamp) -> Option<Expression> {
    match condition {
        Condition::Absent => {
            let mut expression = Expression::of_condition(ABSENT, now);
            expression.name("#pk", PARTITION_ATTRIBUTE);
            Some(expression)
        }
        Condition::Version(version) => {
            let mut expression = Expression::of_condition(OF_VERSION, now);
            expression.name("#v", VERSION);
            expression.value(":v", number(version));
            Some(expression)
        }
        Condition::Any => None,
    }
}

/// The condition under which an assumption is right.
pub(super) fn assumed(assumption: Assumption, now: Timestamp) -> Expression {
    let text = match assumption {
        Assumption::Current => NOT_EXPIRED,
        Assumption::Expired => EXPIRED,
    };
    Expression::of_condition(text, now)
}

/// What a put of a document stores.
#[derive(Debug, Clone, Copy)]
pub(super) struct Content<'a> {
    pub(super) key: &'a Key,
    pub(super) body: &'a str,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) index: Option<&'a IndexEntry>,
}

impl Content<'_> {
    /// The whole item with a known version.
    pub(super) fn item(&self, version: u64) -> Item {
        let mut item = item::key(self.key);
        item.insert(VERSION.to_owned(), number(version));
        let there = item::attributes(self.body, self.expires_at, self.index).into_iter();
        item.extend(there.filter_map(|(name, value)| Some((name.to_owned(), value?))));
        item
    }

    /// The change that replaces everything and counts the version on; `into` holds its condition already.
    pub(super) fn update(&self, into: &mut Expression) -> String {
        let mut set = vec!["#v = if_not_exists(#v, :zero) + :one".to_owned()];
        let mut remove = Vec::new();
        into.name("#v", VERSION);
        into.value(":zero", number(0));
        into.value(":one", number(1));
        for (place, (name, value)) in
            item::attributes(self.body, self.expires_at, self.index).into_iter().enumerate()
        {
            let placeholder = if name == EXPIRY_MS { "#x".to_owned() } else { format!("#a{place}") };
            into.name(&placeholder, name);
            match value {
                Some(value) => {
                    into.value(&format!(":a{place}"), value);
                    set.push(format!("{placeholder} = :a{place}"));
                }
                None => remove.push(placeholder),
            }
        }
        let removed =
            if remove.is_empty() { String::new() } else { format!(" REMOVE {}", remove.join(", ")) };
        format!("SET {}{removed}", set.join(", "))
    }
}

/// Unexpired documents of a partition whose sort key has a prefix.
pub(super) fn documents(
    query: QueryFluentBuilder,
    partition: &str,
    prefix: &str,
    now: Timestamp,
) -> QueryFluentBuilder {
    let query = query
        .expression_attribute_names("#pk", PARTITION_ATTRIBUTE)
        .expression_attribute_values(":pk", text(partition))
        .filter_expression(NOT_EXPIRED)
        .expression_attribute_names("#x", EXPIRY_MS)
        .expression_attribute_values(":now", number(now.0));
    if prefix.is_empty() {
        return query.key_condition_expression("#pk = :pk");
    }
    query
        .key_condition_expression("#pk = :pk AND begins_with(#sk, :prefix)")
        .expression_attribute_names("#sk", SORT_ATTRIBUTE)
        .expression_attribute_values(":prefix", text(prefix))
}

/// Entries of the index up to a sort.
pub(super) fn entries(query: QueryFluentBuilder, name: &str, upto: &str) -> QueryFluentBuilder {
    query
        .key_condition_expression("#ix = :ix AND #ixs <= :upto")
        .expression_attribute_names("#ix", INDEX_NAME_ATTRIBUTE)
        .expression_attribute_names("#ixs", INDEX_SORT_ATTRIBUTE)
        .expression_attribute_values(":ix", text(name))
        .expression_attribute_values(":upto", text(upto))
}
