-- name: record_export
-- Remember what an input's results are and where they stand.
INSERT INTO exports (name, fingerprint, files)
VALUES (:name, :fingerprint, :files)
ON CONFLICT (name) DO UPDATE SET fingerprint = excluded.fingerprint, files = excluded.files;

-- name: all_exports
-- Everything that was ever put into the folder.
SELECT name, fingerprint, files FROM exports;
