-- Version 3. Bodies that are too long for the tree of documents: to compare a key with that of a row, SQLite reads the
-- row with all pages that it goes on in. A tree by number does not.
CREATE TABLE bodies (
    id   INTEGER PRIMARY KEY,
    body TEXT NOT NULL
);

-- The body's number in that table; then the document's own body is empty.
ALTER TABLE documents ADD COLUMN large INTEGER;
