-- name: insert_key
-- A key of a request that is being committed; an expired one is replaced.
INSERT INTO idempotency_keys (key, fingerprint, job_id, accepted, expires_at)
VALUES (:key, :fingerprint, :job_id, :accepted, :expires_at)
ON CONFLICT (key) DO UPDATE SET
    fingerprint = excluded.fingerprint, job_id = excluded.job_id,
    accepted = excluded.accepted, answer = NULL, expires_at = excluded.expires_at;

-- name: record_answer
-- What the first request was answered.
UPDATE idempotency_keys SET answer = :answer WHERE key = :key;

-- name: key
-- A key that has not expired.
SELECT fingerprint, job_id, accepted, answer FROM idempotency_keys
WHERE key = :key AND expires_at > :now_ms;

-- name: forget_keys
-- A batch of the expired ones.
DELETE FROM idempotency_keys WHERE key IN (
    SELECT key FROM idempotency_keys WHERE expires_at <= :now_ms ORDER BY expires_at LIMIT :limit
)
RETURNING key;
