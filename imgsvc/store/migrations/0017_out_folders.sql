-- How the server knows the folders again that it puts results of watched ones into.
BEGIN IMMEDIATE;

-- path: escaped as in folder_files. token: what stands in the folder itself.
CREATE TABLE out_folders (
    path TEXT PRIMARY KEY NOT NULL,
    token TEXT NOT NULL CHECK (token <> '')
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 17;
COMMIT;
