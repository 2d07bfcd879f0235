-- Whom jobs tell of their progress, and every message to them.
BEGIN IMMEDIATE;

-- Which events, so that a job without a webhook costs no look into other tables.
ALTER TABLE jobs ADD COLUMN announces TEXT NOT NULL DEFAULT '' CHECK (
    announces IN ('', 'image.finished', 'image.finished job.finished', 'job.finished')
);

-- disabled_at: the receiver has said that it is gone.
CREATE TABLE webhooks (
    job_id TEXT PRIMARY KEY NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    url TEXT NOT NULL,
    receiver TEXT NOT NULL,
    secret TEXT,
    base_url TEXT NOT NULL,
    disabled_at INTEGER
) STRICT, WITHOUT ROWID;

-- Images that have become final and stand in no message yet, in the order of their ends.
CREATE TABLE unannounced_images (
    job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    idx INTEGER NOT NULL,
    PRIMARY KEY (job_id, seq, idx)
) STRICT, WITHOUT ROWID;

-- payload stands last: it is long, and lists do not read it.
CREATE TABLE deliveries (
    id TEXT PRIMARY KEY NOT NULL,
    job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    event TEXT NOT NULL CHECK (event IN ('job.finished', 'image.finished')),
    receiver TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'failed', 'disabled')),
    attempts INTEGER NOT NULL CHECK (attempts >= 0),
    next_at INTEGER,
    last_status INTEGER,
    last_error TEXT,
    created_at INTEGER NOT NULL,
    delivered_at INTEGER,
    payload TEXT NOT NULL CHECK (json_valid(payload)),
    CHECK ((next_at IS NOT NULL) = (state = 'pending')),
    CHECK ((delivered_at IS NOT NULL) = (state = 'delivered')),
    CHECK (state <> 'delivered' OR (attempts > 0 AND last_error IS NULL)),
    CHECK (state <> 'failed' OR last_error IS NOT NULL)
) STRICT;

CREATE INDEX deliveries_of_job ON deliveries (job_id, id);
-- Receiver by receiver, so that a thousand messages to one are no obstacle to another's.
CREATE INDEX deliveries_to_receiver ON deliveries (receiver, next_at) WHERE state = 'pending';
CREATE INDEX deliveries_waiting ON deliveries (next_at) WHERE state = 'pending';

PRAGMA user_version = 11;
COMMIT;
