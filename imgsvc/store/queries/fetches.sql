-- name: hosts_to_fetch
-- Hosts that images may be fetched from now, in their order after one. The recursion steps
-- from host to host, so that ten thousand images of one cost one search.
WITH RECURSIVE
hosts (host) AS (
    SELECT min(images.fetch_host) FROM images INDEXED BY images_to_fetch
    WHERE images.state = 'pending' AND images.fetch_at = 0 AND images.fetch_host > :after
    UNION ALL
    SELECT (
        SELECT min(images.fetch_host) FROM images INDEXED BY images_to_fetch
        WHERE images.state = 'pending' AND images.fetch_at = 0
            AND images.fetch_host > hosts.host
    )
    FROM hosts WHERE hosts.host IS NOT NULL
    LIMIT :limit
)
SELECT host FROM hosts WHERE host IS NOT NULL;

-- name: begin_fetches
-- Of each picked host the first image of the job that comes after a given one, and else of
-- its first job, begins a try.
WITH v AS MATERIALIZED (
    SELECT coalesce(
        (
            SELECT images.rowid FROM images INDEXED BY images_to_fetch
            WHERE images.state = 'pending' AND images.fetch_at = 0
                AND images.fetch_host = pick.value ->> 0
                AND images.job_id > pick.value ->> 1
            ORDER BY images.job_id, images.idx LIMIT 1
        ),
        (
            SELECT images.rowid FROM images INDEXED BY images_to_fetch
            WHERE images.state = 'pending' AND images.fetch_at = 0
                AND images.fetch_host = pick.value ->> 0
            ORDER BY images.job_id, images.idx LIMIT 1
        )
    ) AS image
    FROM json_each(:picks) AS pick
)
UPDATE images SET
    state = 'fetching', claim = claim + 1, attempts = attempts + 1
FROM v
WHERE images.rowid = v.image AND +images.state = 'pending'
RETURNING *;

-- name: finish_fetch
-- The bytes are there: the image waits for a worker. The try that went well counts as the
-- worker's.
UPDATE images SET
    state = 'pending', attempts = attempts - 1, fetch_at = NULL,
    size_bytes = :size_bytes, sha256 = :sha256, cost_ms = :cost_ms,
    last_error_code = NULL, last_error_message = NULL
WHERE job_id = :job_id AND idx = :idx AND state = 'fetching' AND claim = :claim
RETURNING *;

-- name: fail_fetch
-- An image fails for good where the try is still the current one.
UPDATE images SET
    state = 'failed', error_code = :error_code, error_message = :error_message,
    last_error_code = NULL, last_error_message = NULL, fetch_at = NULL, finished_at = :now_ms
WHERE job_id = :job_id AND idx = :idx AND state = 'fetching' AND claim = :claim
RETURNING *;

-- name: release_fetch
-- An image waits for another try where this one is still the current one.
UPDATE images SET
    state = 'pending', attempts = attempts - :uncounted, fetch_at = :fetch_at,
    last_error_code = coalesce(:error_code, last_error_code),
    last_error_message = coalesce(:error_message, last_error_message)
WHERE job_id = :job_id AND idx = :idx AND state = 'fetching' AND claim = :claim
RETURNING *;

-- name: ripen_fetches
-- The first of the images that were to be fetched later, and whose time has come.
UPDATE images SET fetch_at = 0
WHERE +state = 'pending' AND rowid IN (
    SELECT later.rowid FROM images AS later INDEXED BY images_to_fetch_later
    WHERE later.state = 'pending' AND later.fetch_at > 0 AND later.fetch_at <= :now_ms
    ORDER BY later.fetch_at LIMIT :limit
)
RETURNING 1;

-- name: next_fetch
-- When the first of the images that are to be fetched later may be; null when there is none.
SELECT min(fetch_at) AS fetch_at FROM images INDEXED BY images_to_fetch_later
WHERE state = 'pending' AND fetch_at > 0;
