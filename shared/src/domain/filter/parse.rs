//! From text to a filter's tree: a tokenizer and a parser by descent, with a limit on depth.

use super::{FilterError, Node};

/// Deeper nesting is a mistake or an attack on the stack.
const DEPTH_LIMIT: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Word {
    Open,
    Close,
    And,
    Or,
    Not,
    Term(Node),
}

#[derive(Debug)]
struct Token {
    word: Word,
    /// In characters, counted from 1.
    position: usize,
}

struct Parser<'a> {
    expression: &'a str,
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    end: usize,
}

pub(super) fn parse(expression: &str) -> Result<Node, FilterError> {
    let tokens = tokenize(expression)?;
    let end = expression.chars().count() + 1;
    let mut parser = Parser { expression, tokens: tokens.into_iter().peekable(), end };
    let root = parser.any(0)?;
    match parser.tokens.next() {
        None => Ok(root),
        Some(Token { word: Word::Close, position }) => {
            Err(error(expression, position, "`)` without its `(`", "remove it, or quote the term"))
        }
        Some(Token { position, .. }) => Err(error(
            expression,
            position,
            "two terms without an operator",
            "join them by `and` or `or`, or quote a term that contains spaces",
        )),
    }
}

fn error(expression: &str, position: usize, message: &str, hint: &str) -> FilterError {
    FilterError {
        expression: expression.to_owned(),
        position,
        message: message.to_owned(),
        hint: hint.to_owned(),
    }
}

impl Parser<'_> {
    fn any(&mut self, depth: usize) -> Result<Node, FilterError> {
        let first = self.all(depth)?;
        let mut parts = vec![first];
        while self.tokens.next_if(|t| t.word == Word::Or).is_some() {
            parts.push(self.all(depth)?);
        }
        Ok(single(parts, Node::Any))
    }

    fn all(&mut self, depth: usize) -> Result<Node, FilterError> {
        let first = self.unary(depth)?;
        let mut parts = vec![first];
        while self.tokens.next_if(|t| t.word == Word::And).is_some() {
            parts.push(self.unary(depth)?);
        }
        Ok(single(parts, Node::All))
    }

    fn unary(&mut self, depth: usize) -> Result<Node, FilterError> {
        let Some(token) = self.tokens.next() else {
            let hint = "add a case id, a part of one, or a glob";
            return Err(error(self.expression, self.end, "a term is missing", hint));
        };
        if depth > DEPTH_LIMIT {
            let hint = "use fewer parentheses and `not`";
            return Err(error(self.expression, token.position, "nesting is too deep", hint));
        }
        match token.word {
            Word::Term(node) => Ok(node),
            Word::Not => Ok(Node::Not(Box::new(self.unary(depth + 1)?))),
            Word::Open => {
                let inner = self.any(depth + 1)?;
                if self.tokens.next_if(|t| t.word == Word::Close).is_none() {
                    let hint = "add `)`";
                    return Err(error(self.expression, token.position, "`(` is never closed", hint));
                }
                Ok(inner)
            }
            Word::Close | Word::And | Word::Or => {
                let hint = "add a term before it, or quote it if it is one";
                Err(error(self.expression, token.position, "a term is missing", hint))
            }
        }
    }
}

fn single(mut parts: Vec<Node>, many: fn(Vec<Node>) -> Node) -> Node {
    match (parts.pop(), parts.is_empty()) {
        (Some(only), true) => only,
        (Some(last), false) => {
            parts.push(last);
            many(parts)
        }
        (None, _) => many(parts),
    }
}

fn tokenize(expression: &str) -> Result<Vec<Token>, FilterError> {
    let mut rest = expression.chars().zip(1..).peekable();
    let mut tokens = Vec::new();
    while let Some(&(c, position)) = rest.peek() {
        let word = match c {
            c if c.is_whitespace() => {
                rest.next();
                continue;
            }
            '(' | ')' => {
                rest.next();
                if c == '(' { Word::Open } else { Word::Close }
            }
            '=' => {
                rest.next();
                let (text, _) = term(expression, position, &mut rest)?;
                Word::Term(Node::Exact(text))
            }
            _ => match term(expression, position, &mut rest)? {
                (text, true) => Word::Term(Node::term(text)),
                (text, false) => keyword(text),
            },
        };
        tokens.push(Token { word, position });
    }
    Ok(tokens)
}

fn keyword(text: String) -> Word {
    match text.as_str() {
        "and" => Word::And,
        "or" => Word::Or,
        "not" => Word::Not,
        _ => Word::Term(Node::term(text)),
    }
}

/// The next term and whether it was quoted.
fn term(
    expression: &str,
    position: usize,
    rest: &mut std::iter::Peekable<impl Iterator<Item = (char, usize)>>,
) -> Result<(String, bool), FilterError> {
    let quote = rest.next_if(|(c, _)| matches!(c, '\'' | '"'));
    let text = match quote {
        Some((quote, opened_at)) => quoted(quote, rest).ok_or_else(|| {
            error(expression, opened_at, "a quotation is never closed", "add the closing quote")
        })?,
        None => bare(rest),
    };
    if text.is_empty() {
        return Err(error(expression, position, "an empty term", "write what the case id contains"));
    }
    Ok((text, quote.is_some()))
}

fn quoted(quote: char, rest: &mut impl Iterator<Item = (char, usize)>) -> Option<String> {
    let mut text = String::new();
    loop {
        match rest.next()?.0 {
            c if c == quote => return Some(text),
            '\\' if quote == '"' => text.push(rest.next()?.0),
            c => text.push(c),
        }
    }
}

/// Up to white space or a parenthesis; inside brackets a parenthesis is part of a parametrised id.
fn bare(rest: &mut std::iter::Peekable<impl Iterator<Item = (char, usize)>>) -> String {
    let mut text = String::new();
    let mut brackets = 0_usize;
    let ends = |c: char, brackets: usize| c.is_whitespace() || (matches!(c, '(' | ')') && brackets == 0);
    while let Some((c, _)) = rest.next_if(|(c, _)| !ends(*c, brackets)) {
        match c {
            '[' => brackets += 1,
            ']' => brackets = brackets.saturating_sub(1),
            _ => {}
        }
        text.push(c);
    }
    text
}
