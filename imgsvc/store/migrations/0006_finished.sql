-- Which jobs ended last: those a crash may have left files of.
BEGIN IMMEDIATE;

CREATE INDEX jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL;

PRAGMA user_version = 6;
COMMIT;
