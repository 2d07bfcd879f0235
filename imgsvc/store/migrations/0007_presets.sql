-- Recipes that were given a name. Jobs keep their own copy, so nothing refers to them.
BEGIN IMMEDIATE;

CREATE TABLE presets (
    name TEXT PRIMARY KEY NOT NULL CHECK (length(name) BETWEEN 1 AND 40),
    recipe TEXT NOT NULL CHECK (json_valid(recipe)),
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 7;
COMMIT;
