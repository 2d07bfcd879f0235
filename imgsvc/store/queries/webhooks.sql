-- name: keep_webhook
-- Whom a job tells of its progress, and nobody else any more.
INSERT INTO webhooks (job_id, url, receiver, secret, base_url)
VALUES (:job_id, :url, :receiver, :secret, :base_url)
ON CONFLICT (job_id) DO UPDATE SET
    url = excluded.url, receiver = excluded.receiver, secret = excluded.secret,
    base_url = excluded.base_url, disabled_at = NULL;

-- name: webhook
-- The webhook of a job, and what it is told.
SELECT webhooks.*, jobs.announces
FROM webhooks CROSS JOIN jobs ON jobs.id = webhooks.job_id
WHERE webhooks.job_id = :job_id;

-- name: enable_webhook
-- A receiver that was gone is given another chance.
UPDATE webhooks SET disabled_at = NULL WHERE job_id = :job_id;

-- name: disable_webhook
-- A receiver has said that it is gone.
UPDATE webhooks SET disabled_at = :now_ms WHERE job_id = :job_id;

-- name: insert_delivery
-- A message to a job's receiver; one that wants no more is not asked.
INSERT INTO deliveries (
    id, job_id, event, receiver, state, attempts, next_at, created_at, payload
)
SELECT
    :id, job_id, :event, receiver, iif(disabled_at IS NULL, 'pending', 'disabled'), 0,
    iif(disabled_at IS NULL, :now_ms, NULL), :now_ms, :payload
FROM webhooks WHERE job_id = :job_id;

-- name: insert_unannounced_image
-- An image has become final, at the change of its job that has this seq.
INSERT INTO unannounced_images (job_id, seq, idx) VALUES (:job_id, :seq, :idx);

-- name: jobs_to_announce_images_of
-- Visible jobs with images that stand in no message yet. The recursion steps from job to job.
WITH RECURSIVE waiting (job_id) AS (
    SELECT min(job_id) FROM unannounced_images WHERE job_id > ''
    UNION ALL
    SELECT (
        SELECT min(later.job_id) FROM unannounced_images AS later
        WHERE later.job_id > waiting.job_id
    )
    FROM waiting WHERE waiting.job_id IS NOT NULL
)
SELECT jobs.id FROM waiting CROSS JOIN jobs ON jobs.id = waiting.job_id
WHERE jobs.hidden = 0;

-- name: unannounced_images
-- The first images of a job that stand in no message yet.
SELECT images.*, unannounced_images.seq
FROM unannounced_images CROSS JOIN images
    ON images.job_id = unannounced_images.job_id AND images.idx = unannounced_images.idx
WHERE unannounced_images.job_id = :job_id
ORDER BY unannounced_images.seq, unannounced_images.idx LIMIT :limit;

-- name: forget_unannounced_images
-- Those up to one of them stand in a message now.
DELETE FROM unannounced_images
WHERE job_id = :job_id AND (seq, idx) <= (:seq, :idx);

-- name: due_deliveries
-- To every receiver the first message whose time has come and that is not under way. The
-- recursion steps from receiver to receiver. Jobs that are being removed tell nobody.
WITH RECURSIVE
waiting (receiver) AS (
    SELECT min(receiver) FROM deliveries INDEXED BY deliveries_to_receiver
    WHERE state = 'pending' AND receiver > ''
    UNION ALL
    SELECT (
        SELECT min(later.receiver) FROM deliveries AS later INDEXED BY deliveries_to_receiver
        WHERE later.state = 'pending' AND later.receiver > waiting.receiver
    )
    FROM waiting WHERE waiting.receiver IS NOT NULL
)
SELECT
    deliveries.id, deliveries.job_id, deliveries.event, deliveries.receiver, deliveries.state,
    deliveries.attempts, deliveries.next_at, deliveries.last_status, deliveries.last_error,
    deliveries.created_at, deliveries.delivered_at
FROM waiting
CROSS JOIN deliveries ON deliveries.rowid = (
    SELECT due.rowid FROM deliveries AS due INDEXED BY deliveries_to_receiver
    WHERE due.state = 'pending' AND due.receiver = waiting.receiver AND due.next_at <= :now_ms
        AND due.id NOT IN (SELECT value FROM json_each(:running))
        AND (SELECT jobs.hidden FROM jobs WHERE jobs.id = due.job_id) = 0
    ORDER BY due.next_at LIMIT 1
);

-- name: next_delivery
-- When the first message is due that is not due yet; null when there is none.
SELECT min(next_at) AS next_at FROM deliveries INDEXED BY deliveries_waiting
WHERE state = 'pending' AND next_at > :now_ms;

-- name: waiting_deliveries
-- How many messages are still to be sent, as far as it is worth counting.
SELECT count(*) AS waiting FROM (
    SELECT 1 FROM deliveries INDEXED BY deliveries_waiting WHERE state = 'pending' LIMIT :most
);

-- name: deliveries_of_job
-- A page of a visible job's messages, newest first.
SELECT
    deliveries.id, deliveries.job_id, deliveries.event, deliveries.receiver, deliveries.state,
    deliveries.attempts, deliveries.next_at, deliveries.last_status, deliveries.last_error,
    deliveries.created_at, deliveries.delivered_at
FROM deliveries
WHERE deliveries.job_id = :job_id AND deliveries.id < :after
    AND EXISTS (SELECT 1 FROM jobs WHERE jobs.id = :job_id AND jobs.hidden = 0)
ORDER BY deliveries.id DESC LIMIT :limit;

-- name: payload
-- What a message is made of.
SELECT payload FROM deliveries WHERE id = :id;

-- name: record_attempt
-- A try has ended, if the message still waits as it did when the try began.
UPDATE deliveries SET
    state = :state, attempts = attempts + 1, next_at = :next_at,
    last_status = :status, last_error = :error, delivered_at = :delivered_at
WHERE id = :id AND state = 'pending' AND attempts = :attempts AND receiver = :receiver
RETURNING job_id;

-- name: record_late_attempt
-- The same for a message that was disabled while it was under way: nothing follows of it.
UPDATE deliveries SET
    state = iif(:delivered_at IS NULL, 'disabled', 'delivered'), attempts = attempts + 1,
    last_status = :status, last_error = :error, delivered_at = :delivered_at
WHERE id = :id AND state = 'disabled' AND attempts = :attempts AND receiver = :receiver
RETURNING job_id;

-- name: disable_deliveries
-- What was still to be sent for a job whose receiver is gone.
UPDATE deliveries SET state = 'disabled', next_at = NULL
WHERE job_id = :job_id AND state = 'pending';

-- name: redeliver
-- A message of a job begins anew, whatever became of it, to whom the job tells now; its last
-- answer stands until the next.
UPDATE deliveries SET
    state = 'pending', attempts = 0, next_at = :now_ms, delivered_at = NULL,
    receiver = (SELECT receiver FROM webhooks WHERE job_id = :job_id)
WHERE id = :id AND job_id = :job_id
RETURNING
    id, job_id, event, receiver, state, attempts, next_at, last_status, last_error, created_at,
    delivered_at;
