-- Version 2. Blobs that are too short for a file of their own.
CREATE TABLE blobs (
    key   TEXT NOT NULL PRIMARY KEY,
    bytes BLOB NOT NULL
);
