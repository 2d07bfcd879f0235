-- What was taken of the folders that the server watches, and what became of it.
BEGIN IMMEDIATE;

-- folder and name are paths with everything but plain characters escaped: file names need not
-- be UTF-8. fingerprint: size, time and inode of the file as it was seen last. recipe: what was
-- made of it, as a digest. choice: what its results are called. files: the results that stand
-- in the folder's own output folder, as paths in it.
CREATE TABLE folder_files (
    folder TEXT NOT NULL,
    name TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    sha256 TEXT,
    recipe TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('taken', 'done', 'failed')),
    job_id TEXT NOT NULL,
    idx INTEGER NOT NULL CHECK (idx >= 0),
    choice TEXT NOT NULL CHECK (json_valid(choice)),
    files TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(files)),
    error_code TEXT,
    error_message TEXT,
    ended_at INTEGER,
    PRIMARY KEY (folder, name),
    CHECK ((error_code IS NOT NULL) = (state = 'failed')),
    CHECK ((error_code IS NULL) = (error_message IS NULL)),
    CHECK ((ended_at IS NULL) = (state = 'taken'))
) STRICT;

CREATE UNIQUE INDEX folder_files_by_image ON folder_files (job_id, idx);
CREATE INDEX folder_files_taken ON folder_files (folder, job_id, idx) WHERE state = 'taken';
CREATE INDEX folder_files_failed ON folder_files (folder, name) WHERE state = 'failed';

-- A job is kept until everything that was made in it is delivered.
CREATE INDEX folder_files_undelivered ON folder_files (job_id) WHERE state = 'taken';

PRAGMA user_version = 14;
COMMIT;
