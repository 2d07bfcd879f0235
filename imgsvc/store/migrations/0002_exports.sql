-- What a run without a server has put into its folder, by the input's name.
BEGIN IMMEDIATE;

CREATE TABLE exports (
    name TEXT PRIMARY KEY NOT NULL,
    fingerprint TEXT NOT NULL,
    files TEXT NOT NULL CHECK (json_valid(files))
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 2;
COMMIT;
