-- Version 1. Order of text is bytewise (BINARY), as the port demands.
CREATE TABLE documents (
    partition  TEXT    NOT NULL,
    sort       TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    body       TEXT    NOT NULL,
    expires_at INTEGER,
    index_name TEXT,
    index_sort TEXT,
    PRIMARY KEY (partition, sort)
) WITHOUT ROWID;

CREATE INDEX documents_by_index ON documents (index_name, index_sort, partition, sort)
    WHERE index_name IS NOT NULL;

CREATE INDEX documents_by_expiry ON documents (expires_at)
    WHERE expires_at IS NOT NULL;
