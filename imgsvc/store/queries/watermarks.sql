-- name: all_watermarks
-- Every watermark, by name.
SELECT watermarks.*, watermark_files.width, watermark_files.height, watermark_files.size_bytes
FROM watermarks CROSS JOIN watermark_files ON watermark_files.sha256 = watermarks.sha256
ORDER BY watermarks.name;

-- name: watermark
-- One watermark.
SELECT watermarks.*, watermark_files.width, watermark_files.height, watermark_files.size_bytes
FROM watermarks CROSS JOIN watermark_files ON watermark_files.sha256 = watermarks.sha256
WHERE watermarks.name = :name;

-- name: watermark_digests
-- What the names of a JSON list mean now.
WITH v AS MATERIALIZED (SELECT value AS name FROM json_each(:names))
SELECT watermarks.name, watermarks.sha256
FROM v CROSS JOIN watermarks ON watermarks.name = v.name;

-- name: keep_watermark_file
-- A file that has come; the same content is the same file.
INSERT INTO watermark_files (sha256, width, height, size_bytes)
VALUES (:sha256, :width, :height, :size_bytes)
ON CONFLICT (sha256) DO NOTHING;

-- name: replace_watermark
-- Another content for a name that is there.
UPDATE watermarks SET sha256 = :sha256, updated_at = :updated_at WHERE name = :name
RETURNING name;

-- name: insert_watermark
-- A new name, unless there are as many as there may be.
INSERT INTO watermarks (name, sha256, updated_at)
SELECT :name, :sha256, :updated_at WHERE (SELECT count(*) FROM watermarks) < :most
RETURNING name;

-- name: delete_watermark
-- A name; its file stays while a job needs it.
DELETE FROM watermarks WHERE name = :name
RETURNING name;

-- name: known_watermark_files
-- Which of a JSON list of contents are kept.
WITH v AS MATERIALIZED (SELECT value AS sha256 FROM json_each(:sha256s))
SELECT watermark_files.sha256
FROM v CROSS JOIN watermark_files ON watermark_files.sha256 = v.sha256;

-- name: pin_watermark
-- A job needs a file for as long as it is there.
INSERT INTO job_watermarks (job_id, sha256) VALUES (:job_id, :sha256);

-- name: all_watermark_files
-- The contents of all files.
SELECT sha256 FROM watermark_files;

-- name: forget_watermark_files
-- Files that no name and no job means any more, but for a JSON list of contents.
DELETE FROM watermark_files
WHERE watermark_files.sha256 NOT IN (SELECT value FROM json_each(:kept))
    AND NOT EXISTS (SELECT 1 FROM watermarks WHERE watermarks.sha256 = watermark_files.sha256)
    AND NOT EXISTS (
        SELECT 1 FROM job_watermarks WHERE job_watermarks.sha256 = watermark_files.sha256
    )
RETURNING sha256;
