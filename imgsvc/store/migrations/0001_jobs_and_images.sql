-- Jobs and their images. Times are milliseconds since 1970, flags are 0 or 1.
-- The CHECKs restate the rules of imgsvc.domain.states as far as one row can say them.
BEGIN IMMEDIATE;

CREATE TABLE jobs (
    id TEXT PRIMARY KEY NOT NULL,
    state TEXT NOT NULL CHECK (
        state IN ('pending', 'processing', 'completed', 'partial', 'failed', 'cancelled')
    ),
    label TEXT,
    priority TEXT NOT NULL CHECK (priority IN ('high', 'normal', 'low')),
    preset TEXT,
    recipe TEXT NOT NULL,
    open INTEGER NOT NULL CHECK (open IN (0, 1)),
    hidden INTEGER NOT NULL CHECK (hidden IN (0, 1)),
    source TEXT NOT NULL,
    total INTEGER NOT NULL,
    completed INTEGER NOT NULL CHECK (completed >= 0),
    failed INTEGER NOT NULL CHECK (failed >= 0),
    cancelled INTEGER NOT NULL CHECK (cancelled >= 0),
    input_bytes INTEGER NOT NULL CHECK (input_bytes >= 0),
    output_bytes INTEGER NOT NULL CHECK (output_bytes >= 0),
    errors TEXT NOT NULL CHECK (json_valid(errors)),
    retain_s INTEGER NOT NULL CHECK (retain_s >= 0),
    seq INTEGER NOT NULL CHECK (seq > 0),
    created_at INTEGER NOT NULL,
    appended_at INTEGER NOT NULL,
    started_at INTEGER,
    finished_at INTEGER,
    expires_at INTEGER,
    CHECK (completed + failed + cancelled <= total),
    CHECK ((finished_at IS NOT NULL) = (state NOT IN ('pending', 'processing'))),
    -- Final exactly when closed and every image is final.
    CHECK ((finished_at IS NOT NULL) = (open = 0 AND completed + failed + cancelled = total)),
    CHECK (expires_at IS NULL OR finished_at IS NOT NULL),
    CHECK ((expires_at IS NOT NULL) = (finished_at IS NOT NULL AND retain_s > 0)),
    CHECK (state <> 'completed' OR (failed = 0 AND cancelled = 0)),
    CHECK (state <> 'partial' OR (completed > 0 AND failed > 0 AND cancelled = 0)),
    CHECK (state <> 'failed' OR (completed = 0 AND failed > 0 AND cancelled = 0)),
    CHECK (state <> 'cancelled' OR cancelled > 0)
) STRICT;

CREATE INDEX jobs_in_state ON jobs (state, id);
CREATE INDEX jobs_labelled ON jobs (label, id) WHERE label IS NOT NULL;
CREATE INDEX jobs_unfinished ON jobs (id) WHERE finished_at IS NULL;
CREATE INDEX jobs_hidden ON jobs (id) WHERE hidden = 1;
CREATE INDEX jobs_expiring ON jobs (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX jobs_open ON jobs (appended_at) WHERE open = 1 AND hidden = 0;

-- Rows are fat (outputs stand in them), so this is a rowid table with narrow indexes.
CREATE TABLE images (
    job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    idx INTEGER NOT NULL CHECK (idx >= 0),
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL CHECK (
        state IN ('pending', 'fetching', 'processing', 'completed', 'failed', 'cancelled')
    ),
    attempts INTEGER NOT NULL CHECK (attempts >= 0),
    claim INTEGER NOT NULL CHECK (claim >= attempts),
    kind TEXT NOT NULL CHECK (kind IN ('upload', 'base64', 'url', 'file')),
    url TEXT,
    path TEXT,
    size_bytes INTEGER CHECK (size_bytes >= 0),
    sha256 TEXT,
    error_code TEXT,
    error_message TEXT,
    last_error_code TEXT,
    last_error_message TEXT,
    warnings TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(warnings)),
    input TEXT CHECK (input IS NULL OR json_valid(input)),
    outputs TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(outputs)),
    memory_bytes INTEGER,
    not_before INTEGER,
    started_at INTEGER,
    finished_at INTEGER,
    duration_ms INTEGER,
    PRIMARY KEY (job_id, idx),
    CHECK ((error_code IS NOT NULL) = (state = 'failed')),
    CHECK ((error_code IS NULL) = (error_message IS NULL)),
    CHECK ((last_error_code IS NULL) = (last_error_message IS NULL)),
    CHECK (last_error_code IS NULL OR state IN ('pending', 'fetching', 'processing')),
    CHECK ((finished_at IS NOT NULL) = (state IN ('completed', 'failed', 'cancelled'))),
    CHECK (outputs = '[]' OR state = 'completed'),
    CHECK (started_at IS NOT NULL OR state NOT IN ('processing', 'completed')),
    CHECK (started_at IS NULL OR state <> 'pending'),
    CHECK (not_before IS NULL OR state = 'pending'),
    CHECK (url IS NULL OR kind = 'url'),
    CHECK (path IS NULL OR kind = 'file')
) STRICT;

CREATE UNIQUE INDEX images_id ON images (id);
-- Pages of one job by state, and the claims: not_before stands in it so that images that
-- wait for a later try are passed over without reading their rows.
CREATE INDEX images_in_state ON images (job_id, state, idx, not_before);
-- Across jobs by state, newest first.
CREATE INDEX images_newest ON images (state, id);

-- One row, written to prove that the database can be written.
CREATE TABLE write_probe (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    writes INTEGER NOT NULL
) STRICT;
INSERT INTO write_probe (id, writes) VALUES (1, 0);

PRAGMA user_version = 1;
COMMIT;
