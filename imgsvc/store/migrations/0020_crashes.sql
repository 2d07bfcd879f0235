-- Images whose worker has died of them, whatever they have waited for since.
BEGIN IMMEDIATE;

-- Whether a try that counts ended so; the next one that does is the last.
ALTER TABLE images ADD COLUMN crashed INTEGER NOT NULL DEFAULT 0 CHECK (crashed IN (0, 1));
UPDATE images SET crashed = 1 WHERE last_error_code = 'worker_crashed';

PRAGMA user_version = 20;
COMMIT;
