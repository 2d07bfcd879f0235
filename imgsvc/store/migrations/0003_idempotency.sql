-- Keys under which clients sent requests that must not be carried out twice.
BEGIN IMMEDIATE;

-- Without a foreign key: a key outlives its job, or a repeated request would bring it back.
CREATE TABLE idempotency_keys (
    key TEXT PRIMARY KEY NOT NULL,
    fingerprint TEXT NOT NULL,
    job_id TEXT NOT NULL,
    accepted TEXT CHECK (accepted IS NULL OR json_valid(accepted)),
    answer TEXT CHECK (answer IS NULL OR json_valid(answer)),
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_keys_expiring ON idempotency_keys (expires_at);

PRAGMA user_version = 3;
COMMIT;
