//! The objects of one repository, and how GitHub shows them.

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Map, Value, json};
use shared::domain::id::digest_hex;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use tar::{Builder, EntryType, Header};

/// Mode of a file.
pub const FILE: &str = "100644";
/// Mode of a symbolic link, whose text is where it leads.
pub const LINK: &str = "120000";
/// Mode of a repository inside of the repository.
pub const SUBMODULE: &str = "160000";

/// Something at a path of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    mode: &'static str,
    path: String,
    bytes: Vec<u8>,
}

impl Entry {
    /// An entry.
    #[must_use]
    pub fn new(mode: &'static str, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        Self { mode, path: path.to_owned(), bytes: bytes.as_ref().to_owned() }
    }
}

/// What a tree says of one name.
#[derive(Debug)]
struct Item {
    mode: &'static str,
    kind: &'static str,
    id: String,
    size: Option<usize>,
}

/// An object by its kind and id.
#[derive(Debug, Clone)]
struct Pointer {
    kind: &'static str,
    id: String,
}

impl Pointer {
    fn shown(&self) -> Value {
        json!({ "type": self.kind, "sha": self.id, "url": "" })
    }
}

/// A repository.
#[derive(Debug, Default)]
pub(super) struct Repository {
    pub(super) is_private: bool,
    references: BTreeMap<String, Pointer>,
    commits: BTreeMap<String, String>,
    tags: BTreeMap<String, (String, Pointer)>,
    trees: BTreeMap<String, BTreeMap<String, Item>>,
    blobs: BTreeMap<String, Vec<u8>>,
}

fn id(text: &str) -> String {
    digest_hex(text).chars().take(40).collect()
}

impl Repository {
    pub(super) fn commit(&mut self, entries: &[Entry], references: &[&str]) -> String {
        let tree = self.grow(entries);
        let commit = id(&format!("commit {tree}"));
        self.commits.insert(commit.clone(), tree);
        for reference in references {
            let pointer = Pointer { kind: "commit", id: commit.clone() };
            self.references.insert((*reference).to_owned(), pointer);
        }
        commit
    }

    pub(super) fn annotate(&mut self, name: &str, of: &str) -> String {
        let kind = if self.tags.contains_key(of) { "tag" } else { "commit" };
        let tag = id(&format!("tag {name} {of}"));
        self.tags.insert(tag.clone(), (name.to_owned(), Pointer { kind, id: of.to_owned() }));
        self.references.insert(format!("refs/tags/{name}"), Pointer { kind: "tag", id: tag.clone() });
        tag
    }

    /// Keeps a tree with everything below it; returns its id.
    fn grow(&mut self, entries: &[Entry]) -> String {
        let mut items = BTreeMap::new();
        let mut folders: BTreeMap<&str, Vec<Entry>> = BTreeMap::new();
        for entry in entries {
            match entry.path.split_once('/') {
                Some((folder, rest)) => {
                    folders.entry(folder).or_default().push(Entry { path: rest.to_owned(), ..entry.clone() });
                }
                None => drop(items.insert(entry.path.clone(), self.leaf(entry))),
            }
        }
        for (name, inside) in folders {
            let id = self.grow(&inside);
            items.insert(name.to_owned(), Item { mode: "040000", kind: "tree", id, size: None });
        }
        let tree = id(&format!("tree {items:?}"));
        self.trees.insert(tree.clone(), items);
        tree
    }

    fn leaf(&mut self, entry: &Entry) -> Item {
        let id = id(&format!("blob {:?}", entry.bytes));
        if entry.mode == SUBMODULE {
            return Item { mode: entry.mode, kind: "commit", id, size: None };
        }
        self.blobs.insert(id.clone(), entry.bytes.clone());
        Item { mode: entry.mode, kind: "blob", id, size: Some(entry.bytes.len()) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.commits.is_empty()
    }

    pub(super) fn facts(&self, full_name: &str) -> Value {
        json!({ "id": 1_296_269, "full_name": full_name, "private": self.is_private, "default_branch": "main" })
    }

    pub(super) fn reference(&self, name: &str) -> Option<Value> {
        let full = format!("refs/{name}");
        let pointer = self.references.get(&full)?;
        Some(json!({ "ref": full, "node_id": "", "url": "", "object": pointer.shown() }))
    }

    pub(super) fn shown_commit(&self, id: &str) -> Option<Value> {
        let tree = self.commits.get(id)?;
        Some(json!({ "sha": id, "message": "x", "tree": { "sha": tree, "url": "" }, "parents": [] }))
    }

    pub(super) fn shown_tag(&self, id: &str) -> Option<Value> {
        let (name, of) = self.tags.get(id)?;
        Some(json!({ "sha": id, "tag": name, "message": "x", "object": of.shown() }))
    }

    pub(super) fn blob(&self, id: &str) -> Option<Vec<u8>> {
        self.blobs.get(id).cloned()
    }

    /// A tree by its own id or that of a commit.
    pub(super) fn shown_tree(&self, id: &str, deep: bool, truncated: bool) -> Option<Value> {
        let tree = self.commits.get(id).map_or(id, String::as_str);
        let mut shown = Vec::new();
        self.show(self.trees.get(tree)?, "", deep, &mut shown);
        if truncated {
            shown.pop();
        }
        Some(json!({ "sha": tree, "url": "", "tree": shown, "truncated": truncated }))
    }

    /// What the address of a commit's archive holds, so that nobody can guess it.
    pub(super) fn ticket(&self, commit: &str) -> Option<String> {
        self.commits.contains_key(commit).then(|| id(&format!("ticket {commit}")))
    }

    /// Everything of a commit, in a folder named after the repository, with the commit's id ahead.
    pub(super) fn archive(&self, full_name: &str, commit: &str) -> Option<Vec<u8>> {
        let mut builder = Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
        let record = format!("52 comment={commit}\n");
        append(&mut builder, EntryType::XGlobalHeader, "pax_global_header", record.as_bytes())?;
        let short: String = commit.chars().take(7).collect();
        let folder = format!("{}-{short}/", full_name.replace('/', "-"));
        self.pack(&mut builder, self.commits.get(commit)?, &folder)?;
        builder.into_inner().and_then(GzEncoder::finish).ok()
    }

    fn pack(&self, builder: &mut Builder<GzEncoder<Vec<u8>>>, tree: &str, folder: &str) -> Option<()> {
        append(builder, EntryType::Directory, folder, b"")?;
        for (name, item) in self.trees.get(tree)? {
            let path = format!("{folder}{name}");
            match (item.mode, self.blobs.get(&item.id)) {
                (FILE, Some(text)) => append(builder, EntryType::Regular, &path, text)?,
                (LINK, Some(target)) => append_link(builder, &path, target)?,
                // A repository inside comes as an empty folder.
                (SUBMODULE, _) => append(builder, EntryType::Directory, &format!("{path}/"), b"")?,
                _ => self.pack(builder, &item.id, &format!("{path}/"))?,
            }
        }
        Some(())
    }

    fn show(&self, items: &BTreeMap<String, Item>, folder: &str, deep: bool, shown: &mut Vec<Value>) {
        for (name, item) in items {
            let path = format!("{folder}{name}");
            let mut one = Map::from_iter([
                ("path".to_owned(), json!(path)),
                ("mode".to_owned(), json!(item.mode)),
                ("type".to_owned(), json!(item.kind)),
                ("sha".to_owned(), json!(item.id)),
            ]);
            one.extend(item.size.map(|size| ("size".to_owned(), json!(size))));
            shown.push(Value::Object(one));
            if let Some(inside) = self.trees.get(&item.id).filter(|_| deep) {
                self.show(inside, &format!("{path}/"), deep, shown);
            }
        }
    }
}

fn append<W: std::io::Write>(
    builder: &mut Builder<W>,
    kind: EntryType,
    path: &str,
    content: &[u8],
) -> Option<()> {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(if kind.is_dir() { 0o775 } else { 0o664 });
    header.set_size(u64::try_from(content.len()).ok()?);
    builder.append_data(&mut header, path, content).ok()
}

fn append_link<W: std::io::Write>(builder: &mut Builder<W>, path: &str, target: &[u8]) -> Option<()> {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Symlink);
    header.set_size(0);
    builder.append_link(&mut header, path, OsStr::from_bytes(target)).ok()
}
