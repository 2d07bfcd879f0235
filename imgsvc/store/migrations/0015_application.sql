-- Marks the file as ours, so that no other program's database is taken for one.
BEGIN IMMEDIATE;

PRAGMA application_id = 1768777587;

PRAGMA user_version = 15;
COMMIT;
