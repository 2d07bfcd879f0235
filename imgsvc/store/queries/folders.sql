-- name: take_file
-- A file is part of a job from now on; what was made of it before stays where it is.
INSERT INTO folder_files (folder, name, fingerprint, sha256, recipe, state, job_id, idx, choice)
VALUES (:folder, :name, :fingerprint, :sha256, :recipe, 'taken', :job_id, :idx, :choice)
ON CONFLICT (folder, name) DO UPDATE SET
    fingerprint = excluded.fingerprint, sha256 = excluded.sha256, recipe = excluded.recipe,
    state = 'taken', job_id = excluded.job_id, idx = excluded.idx, choice = excluded.choice,
    error_code = NULL, error_message = NULL, ended_at = NULL;

-- name: touch_file
-- A file looks otherwise and has the same bytes.
UPDATE folder_files SET fingerprint = :fingerprint
WHERE folder = :folder AND name = :name AND sha256 = :sha256;

-- name: end_file
-- What became of a file, unless a newer content of it was taken meanwhile. What failed leaves
-- the results of an older content where they are.
UPDATE folder_files SET
    state = :state, error_code = :error_code, error_message = :error_message,
    ended_at = :now_ms, files = coalesce(:files, files)
WHERE folder = :folder AND name = :name AND job_id = :job_id AND idx = :idx
RETURNING name;

-- name: forget_failed_file
-- A file that failed is not in the folder any more.
DELETE FROM folder_files WHERE folder = :folder AND name = :name AND state = 'failed';

-- name: forget_done_file
-- A file is not in the folder any more, nor is anything that was made of it. One that came back
-- meanwhile is part of another job.
DELETE FROM folder_files
WHERE folder = :folder AND name = :name AND state = 'done' AND job_id = :job_id AND idx = :idx
RETURNING name;

-- name: forget_unwatched_files
-- What was not heard of yet, of folders that are not in a JSON list: nobody waits for it. Such a
-- file is new again should its folder be watched again.
DELETE FROM folder_files
WHERE state = 'taken' AND folder NOT IN (SELECT value FROM json_each(:folders))
RETURNING folder;

-- name: files_by_name
-- The files among a JSON list of names.
WITH v AS MATERIALIZED (SELECT value AS name FROM json_each(:names))
SELECT folder_files.* FROM v
CROSS JOIN folder_files ON folder_files.folder = :folder AND folder_files.name = v.name;

-- name: files_of_folder
-- A page of all files of a folder, by name.
SELECT * FROM folder_files
WHERE folder = :folder AND name > :after
ORDER BY name LIMIT :limit;

-- name: files_by_image
-- The files that a JSON list of [job, index] was made of, as far as no newer content was taken.
WITH v AS MATERIALIZED (
    SELECT value ->> 0 AS job_id, value ->> 1 AS idx FROM json_each(:keys)
)
SELECT folder_files.* FROM v
CROSS JOIN folder_files ON folder_files.job_id = v.job_id AND folder_files.idx = v.idx
WHERE folder_files.folder = :folder;

-- name: images_by_key
-- The images among a JSON list of [job, index], of visible jobs.
WITH v AS MATERIALIZED (
    SELECT value ->> 0 AS job_id, value ->> 1 AS idx FROM json_each(:keys)
)
SELECT images.* FROM v
CROSS JOIN images ON images.job_id = v.job_id AND images.idx = v.idx
CROSS JOIN jobs ON jobs.id = images.job_id
WHERE jobs.hidden = 0;

-- name: taken_files
-- A page of the images that were not heard of since they were taken, job by job.
SELECT job_id, idx FROM folder_files
WHERE folder = :folder AND state = 'taken' AND (job_id, idx) > (:after_job, :after_idx)
ORDER BY job_id, idx LIMIT :limit;

-- name: taken_files_of_job
-- The same of one job.
SELECT idx FROM folder_files
WHERE folder = :folder AND state = 'taken' AND job_id = :job_id
ORDER BY idx;

-- name: failed_files
-- What could not be made, by name.
SELECT * FROM folder_files
WHERE folder = :folder AND state = 'failed'
ORDER BY name;

-- name: is_undelivered
-- Whether something that was made in a job, or will be, is not where it belongs.
SELECT 1 FROM folder_files WHERE job_id = :job_id AND state = 'taken' LIMIT 1;

-- name: save_out_token
-- What is to stand in an output folder from now on.
INSERT INTO out_folders (path, token) VALUES (:path, :token)
ON CONFLICT (path) DO UPDATE SET token = excluded.token;

-- name: out_token
-- What stands in an output folder of this server.
SELECT token FROM out_folders WHERE path = :path;
