-- name: record_export
-- Remember what an input's results are and where they stand.
INSERT INTO exports (name, fingerprint, files)
VALUES (:name, :fingerprint, :files)
ON CONFLICT (name) DO UPDATE SET fingerprint = excluded.fingerprint, files = excluded.files;

-- name: forget_export
-- What it had put there is being overwritten by another input's.
DELETE FROM exports WHERE name = :name;

-- name: all_exports
-- Everything that was ever put into the folder.
SELECT name, fingerprint, files FROM exports;
