-- name: insert_job
-- A new job.
INSERT INTO jobs (
    id, state, label, priority, preset, recipe, open, hidden, source,
    total, completed, failed, cancelled, input_bytes, output_bytes, errors,
    reuse, analyze, retain_s, remaining_ms, seq, created_at, appended_at,
    started_at, finished_at, expires_at, announces, unfetched
) VALUES (
    :id, :state, :label, :priority, :preset, :recipe, :open, :hidden, :source,
    :total, :completed, :failed, :cancelled, :input_bytes, :output_bytes, :errors,
    :reuse, :analyze, :retain_s, :remaining_ms, :seq, :created_at, :created_at,
    :started_at, :finished_at, :expires_at, :announces, :unfetched
);

-- name: save_job
-- Everything about a job that can change; the one writer has read it in this transaction.
UPDATE jobs SET
    state = :state, open = :open, hidden = :hidden,
    total = :total, completed = :completed, failed = :failed, cancelled = :cancelled,
    input_bytes = :input_bytes, output_bytes = :output_bytes, errors = :errors,
    remaining_ms = :remaining_ms, unfetched = :unfetched, seq = :seq,
    started_at = :started_at, finished_at = :finished_at, expires_at = :expires_at
WHERE id = :id;

-- name: save_announces
-- What a job tells its webhook of.
UPDATE jobs SET announces = :announces WHERE id = :id;

-- name: note_append
-- An open job closes itself some time after its last append.
UPDATE jobs SET appended_at = :now_ms WHERE id = :id;

-- name: delete_job
-- A job and, by its foreign key, its images.
DELETE FROM jobs WHERE id = :id;

-- name: hide_job
-- A job that is about to be deleted.
UPDATE jobs SET hidden = 1 WHERE id = :id;

-- name: job
-- One job; hidden ones only where hidden is 1.
SELECT * FROM jobs WHERE id = :id AND hidden <= :hidden;

-- name: jobs_by_ids
-- The jobs among a JSON list of ids.
WITH v AS MATERIALIZED (SELECT value AS id FROM json_each(:ids))
SELECT jobs.* FROM v CROSS JOIN jobs ON jobs.id = v.id;

-- name: known_job_ids
-- Which of a JSON list of ids are jobs.
WITH v AS MATERIALIZED (SELECT value AS id FROM json_each(:ids))
SELECT jobs.id FROM v CROSS JOIN jobs ON jobs.id = v.id;

-- name: job_totals
-- How many images each of a JSON list of jobs has, hidden ones among them.
WITH v AS MATERIALIZED (SELECT value AS id FROM json_each(:ids))
SELECT jobs.id, jobs.total FROM v CROSS JOIN jobs ON jobs.id = v.id;

-- name: jobs_newest
-- A page of visible jobs, newest first.
SELECT * FROM jobs
WHERE hidden = 0 AND id < :after
ORDER BY id DESC LIMIT :limit;

-- name: jobs_newest_in_state
-- A page of visible jobs in one state, newest first.
SELECT * FROM jobs
WHERE hidden = 0 AND state = :state AND id < :after
ORDER BY id DESC LIMIT :limit;

-- name: jobs_newest_labelled
-- A page of visible jobs with one label, newest first.
SELECT * FROM jobs
WHERE hidden = 0 AND label = :label AND id < :after
ORDER BY id DESC LIMIT :limit;

-- name: jobs_newest_labelled_in_state
-- A page of visible jobs with one label in one state, newest first.
SELECT * FROM jobs INDEXED BY jobs_labelled
WHERE hidden = 0 AND label = :label AND state = :state AND id < :after
ORDER BY id DESC LIMIT :limit;

-- name: jobs_with_pending
-- Unfinished jobs with pending images, oldest first.
SELECT jobs.id
FROM jobs INDEXED BY jobs_unfinished
WHERE jobs.finished_at IS NULL AND EXISTS (
    SELECT 1 FROM images WHERE images.job_id = jobs.id AND images.state = 'pending'
)
ORDER BY jobs.id;

-- name: is_idle
-- Whether a job is open, without an append since a moment.
SELECT 1 FROM jobs
WHERE id = :id AND open = 1 AND hidden = 0 AND appended_at <= :before_ms;

-- name: unfinished_jobs
-- How many images of each unfinished job are not final, and how many of them lack their bytes.
SELECT id, priority, total - completed - failed - cancelled AS waiting, unfetched
FROM jobs
WHERE finished_at IS NULL;

-- name: expired_jobs
-- Jobs whose time is over, longest first. One with results that a watched folder has not put
-- where they belong waits.
SELECT id FROM jobs
WHERE expires_at <= :now_ms AND NOT EXISTS (
    SELECT 1 FROM folder_files WHERE folder_files.job_id = jobs.id AND folder_files.state = 'taken'
)
ORDER BY expires_at LIMIT :limit;

-- name: idle_open_jobs
-- Open jobs without an append since a moment, longest first.
SELECT id FROM jobs
WHERE open = 1 AND hidden = 0 AND appended_at <= :before_ms
ORDER BY appended_at LIMIT :limit;

-- name: hidden_jobs
-- Jobs whose submit, or whose removal, never came to its end.
SELECT * FROM jobs WHERE hidden = 1;

-- name: probe_write
-- The smallest write that reaches the disk.
UPDATE write_probe SET writes = writes + 1 WHERE id = 1;
