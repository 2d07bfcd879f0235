-- name: insert_image
-- A new image, pending or failed already.
INSERT INTO images (
    job_id, idx, id, name, state, attempts, claim, kind, url, path, size_bytes, sha256,
    error_code, error_message, finished_at, cost_ms, fetch_host, fetch_at,
    fetch_max_bytes, fetch_rank
) VALUES (
    :job_id, :idx, :id, :name, :state, 0, 0, :kind, :url, :path, :size_bytes, :sha256,
    :error_code, :error_message, :finished_at, :cost_ms, :fetch_host, :fetch_at,
    :fetch_max_bytes, :fetch_rank
);

-- name: claim_images
-- The first `count` claimable images of each picked job begin a try. The recursion takes
-- one step, and one index search, per image. The plus sign keeps the planner from beginning
-- with every pending image there is.
WITH RECURSIVE
picked (job_id, remaining, idx) AS (
    SELECT
        v.value ->> 0,
        v.value ->> 1,
        (
            SELECT images.idx FROM images INDEXED BY images_claimable
            WHERE images.job_id = v.value ->> 0
                AND images.state = 'pending' AND images.fetch_at IS NULL
                AND (images.not_before IS NULL OR images.not_before <= :now_ms)
            ORDER BY images.idx LIMIT 1
        )
    FROM json_each(:picks) AS v
    UNION ALL
    SELECT
        picked.job_id,
        picked.remaining - 1,
        (
            SELECT images.idx FROM images INDEXED BY images_claimable
            WHERE images.job_id = picked.job_id
                AND images.state = 'pending' AND images.fetch_at IS NULL
                AND images.idx > picked.idx
                AND (images.not_before IS NULL OR images.not_before <= :now_ms)
            ORDER BY images.idx LIMIT 1
        )
    FROM picked
    WHERE picked.remaining > 1 AND picked.idx IS NOT NULL
),
v AS MATERIALIZED (SELECT job_id, idx FROM picked WHERE idx IS NOT NULL)
UPDATE images SET
    state = 'processing', claim = claim + 1, attempts = attempts + 1,
    started_at = :now_ms, not_before = NULL
FROM v
WHERE images.job_id = v.job_id AND images.idx = v.idx AND +images.state = 'pending'
RETURNING *;

-- name: fail_void_images
-- What failed on the way in has no bytes, and nobody to ask for them: all that wait again in a
-- JSON list of jobs, or were just claimed, fail of the same. None of them has begun a try.
UPDATE images SET
    state = 'failed', attempts = 0, started_at = NULL, finished_at = :now_ms,
    error_code = coalesce(last_error_code, iif(kind = 'url', 'fetch_blocked', 'empty_image')),
    error_message = coalesce(last_error_message, 'Nothing was kept of it when it was sent.'),
    last_error_code = NULL, last_error_message = NULL
WHERE job_id IN (SELECT value FROM json_each(:job_ids)) AND state IN ('pending', 'processing')
    AND coalesce(sha256, path, fetch_host) IS NULL
RETURNING *;

-- name: finish_images
-- Results become final where the dispatch is still the current one.
WITH v AS MATERIALIZED (
    SELECT
        value ->> 0 AS job_id, value ->> 1 AS idx, value ->> 2 AS claim,
        value ->> 3 AS state, value ->> 4 AS error_code, value ->> 5 AS error_message,
        value ->> 6 AS warnings, value ->> 7 AS input, value ->> 8 AS outputs,
        value ->> 9 AS duration_ms, value ->> 10 AS reuse_key, value ->> 11 AS analysis
    FROM json_each(:results)
)
UPDATE images SET
    state = v.state, error_code = v.error_code, error_message = v.error_message,
    last_error_code = NULL, last_error_message = NULL,
    warnings = v.warnings, input = coalesce(v.input, images.input), outputs = v.outputs,
    finished_at = :now_ms, duration_ms = v.duration_ms, analysis = v.analysis,
    reuse_key = iif(images.sha256 IS NULL, NULL, v.reuse_key)
FROM v
WHERE images.job_id = v.job_id AND images.idx = v.idx
    AND images.state = 'processing' AND images.claim = v.claim
RETURNING *;

-- name: release_images
-- Images go back to wait for another try where the dispatch is still the current one.
WITH v AS MATERIALIZED (
    SELECT
        value ->> 0 AS job_id, value ->> 1 AS idx, value ->> 2 AS claim,
        value ->> 3 AS uncounted, value ->> 4 AS error_code, value ->> 5 AS error_message,
        value ->> 6 AS not_before, value ->> 7 AS memory_bytes
    FROM json_each(:releases)
)
UPDATE images SET
    state = 'pending', attempts = images.attempts - v.uncounted,
    last_error_code = coalesce(v.error_code, images.last_error_code),
    last_error_message = coalesce(v.error_message, images.last_error_message),
    crashed = images.crashed OR (v.error_code IS 'worker_crashed' AND NOT v.uncounted),
    not_before = v.not_before, memory_bytes = coalesce(v.memory_bytes, images.memory_bytes),
    started_at = NULL
FROM v
WHERE images.job_id = v.job_id AND images.idx = v.idx
    AND images.state = 'processing' AND images.claim = v.claim
RETURNING *;

-- name: cancel_images
-- Every image of a job that is not final; a try that was running does not count.
UPDATE images SET
    state = 'cancelled', attempts = max(attempts - (state <> 'pending'), 0),
    last_error_code = NULL, last_error_message = NULL, not_before = NULL,
    fetch_at = NULL, fetch_way = NULL, finished_at = :now_ms
WHERE job_id = :job_id AND state IN ('pending', 'fetching', 'processing')
RETURNING *;

-- name: retryable_images
-- What a retry by hand may take up again.
SELECT idx, state, error_code FROM images
WHERE job_id = :job_id AND state IN ('failed', 'cancelled');

-- name: retry_images
-- A JSON list of indexes of one job begins anew; claim is never reset. What has its bytes
-- is not fetched again. What it failed of stands as the last failure until it is final again.
WITH v AS MATERIALIZED (SELECT value AS idx FROM json_each(:indexes))
UPDATE images SET
    state = 'pending', attempts = 0, interruptions = 0, crashed = 0,
    last_error_code = error_code, last_error_message = error_message,
    error_code = NULL, error_message = NULL, warnings = '[]',
    started_at = NULL, finished_at = NULL, duration_ms = NULL,
    fetch_at = iif(images.fetch_host IS NOT NULL AND images.sha256 IS NULL, 0, NULL)
FROM v
WHERE images.job_id = :job_id AND images.idx = v.idx
    AND images.state IN ('failed', 'cancelled')
RETURNING *;

-- name: begin_alone
-- A try whose image nothing runs beside, where it is still the current one.
UPDATE images SET alone_claim = claim
WHERE job_id = :job_id AND idx = :idx AND state = 'processing' AND claim = :claim
RETURNING 1;

-- name: count_death
-- The server died with these images, and nobody had asked it to stop. What a worker was at, by
-- `held`, weighs more; a suspect that had not begun is not to blame. What had crashed its worker
-- just before is not blamed for both: that try does not count, and its failure is forgotten.
UPDATE images SET
    interruptions = interruptions + iif(
        job_id || '-' || idx || '-' || claim IN (SELECT value FROM json_each(:held)), :weight, 1
    ),
    attempts = attempts - crashed, crashed = 0,
    last_error_code = iif(crashed, nullif(last_error_code, 'worker_crashed'), last_error_code),
    last_error_message = iif(
        crashed AND last_error_code = 'worker_crashed', NULL, last_error_message
    )
WHERE state = 'processing' AND (interruptions < :suspect_after OR alone_claim = claim);

-- name: fail_guilty_images
-- What was being made, with nothing beside it, when the server died once too often.
UPDATE images SET
    state = 'failed', error_code = :error_code, error_message = :error_message,
    last_error_code = NULL, last_error_message = NULL, finished_at = :now_ms
WHERE state = 'processing' AND interruptions >= :most
RETURNING *;

-- name: recover_images
-- What ran when the server stopped waits again; the try that was cut short does not count.
UPDATE images SET
    state = 'pending', attempts = max(attempts - 1, 0), started_at = NULL
WHERE state IN ('fetching', 'processing')
RETURNING *;

-- name: next_try
-- When the first of a job's delayed images may be tried again; null when none is delayed.
SELECT min(not_before) AS not_before FROM images INDEXED BY images_claimable
WHERE job_id = :job_id AND state = 'pending' AND fetch_at IS NULL AND not_before IS NOT NULL;

-- name: image
-- One image of a visible job.
SELECT images.* FROM images
WHERE images.job_id = :job_id AND images.idx = :idx
    AND EXISTS (SELECT 1 FROM jobs WHERE jobs.id = :job_id AND jobs.hidden = 0);

-- name: image_by_id
-- One image of a visible job, by its own id.
SELECT images.* FROM images
CROSS JOIN jobs ON jobs.id = images.job_id
WHERE images.id = :id AND jobs.hidden = 0;

-- name: images_of_job
-- A page of a visible job's images in index order.
SELECT images.* FROM images
WHERE images.job_id = :job_id AND images.idx > :after
    AND EXISTS (SELECT 1 FROM jobs WHERE jobs.id = :job_id AND jobs.hidden = 0)
ORDER BY images.idx LIMIT :limit;

-- name: image_files
-- What files the images of a JSON list of jobs have, the jobs hidden or not.
SELECT job_id, id, claim, state = 'completed', iif(path IS NULL, sha256, NULL), outputs
FROM images WHERE job_id IN (SELECT value FROM json_each(:job_ids));

-- name: images_of_job_in_state
-- A page of a visible job's images in one state, in index order.
SELECT images.* FROM images
WHERE images.job_id = :job_id AND images.state = :state AND images.idx > :after
    AND EXISTS (SELECT 1 FROM jobs WHERE jobs.id = :job_id AND jobs.hidden = 0)
ORDER BY images.idx LIMIT :limit;

-- name: images_newest
-- A page of all visible jobs' images, newest first.
SELECT images.* FROM images
CROSS JOIN jobs ON jobs.id = images.job_id
WHERE images.id < :after AND jobs.hidden = 0
ORDER BY images.id DESC LIMIT :limit;

-- name: images_newest_in_state
-- A page of all visible jobs' images in one state, newest first.
SELECT images.* FROM images
CROSS JOIN jobs ON jobs.id = images.job_id
WHERE images.state = :state AND images.id < :after AND jobs.hidden = 0
ORDER BY images.id DESC LIMIT :limit;

-- name: image_names
-- What the images of a job are called, in index order.
SELECT idx, name FROM images WHERE job_id = :job_id ORDER BY idx;

-- name: reusable_images
-- For each of some inputs the newest image of every recipe that an engine has made of it.
-- The recursion steps from recipe to recipe, so ten thousand equal images cost one search.
WITH RECURSIVE
wanted AS MATERIALIZED (SELECT value AS sha256 FROM json_each(:sha256s)),
made (sha256, reuse_key, depth) AS (
    SELECT
        wanted.sha256,
        (
            SELECT min(images.reuse_key) FROM images INDEXED BY images_reusable
            WHERE images.sha256 = wanted.sha256
                AND images.reuse_key >= :engine AND images.reuse_key < :engine || '~'
        ),
        1
    FROM wanted
    UNION ALL
    SELECT
        made.sha256,
        (
            SELECT min(images.reuse_key) FROM images INDEXED BY images_reusable
            WHERE images.sha256 = made.sha256
                AND images.reuse_key > made.reuse_key AND images.reuse_key < :engine || '~'
        ),
        made.depth + 1
    FROM made
    WHERE made.reuse_key IS NOT NULL AND made.depth < 32
)
SELECT images.*, jobs.recipe
FROM made
CROSS JOIN images ON images.rowid = (
    SELECT max(twin.rowid) FROM images AS twin INDEXED BY images_reusable
    WHERE twin.sha256 = made.sha256 AND twin.reuse_key = made.reuse_key
)
CROSS JOIN jobs ON jobs.id = images.job_id
WHERE made.reuse_key IS NOT NULL;
