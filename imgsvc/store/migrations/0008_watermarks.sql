-- Pictures that are laid over others. Jobs name the content they were submitted with, so a
-- name may mean another one later.
BEGIN IMMEDIATE;

-- A file is there for every row.
CREATE TABLE watermark_files (
    sha256 TEXT PRIMARY KEY NOT NULL CHECK (length(sha256) = 64),
    width INTEGER NOT NULL CHECK (width > 0),
    height INTEGER NOT NULL CHECK (height > 0),
    size_bytes INTEGER NOT NULL CHECK (size_bytes > 0)
) STRICT, WITHOUT ROWID;

CREATE TABLE watermarks (
    name TEXT PRIMARY KEY NOT NULL CHECK (length(name) BETWEEN 1 AND 40),
    sha256 TEXT NOT NULL REFERENCES watermark_files (sha256),
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX watermarks_by_file ON watermarks (sha256);

CREATE TABLE job_watermarks (
    job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    sha256 TEXT NOT NULL REFERENCES watermark_files (sha256),
    PRIMARY KEY (job_id, sha256)
) STRICT, WITHOUT ROWID;

CREATE INDEX job_watermarks_by_file ON job_watermarks (sha256);

PRAGMA user_version = 8;
COMMIT;
