-- Keeps the numbers whole.
BEGIN IMMEDIATE;
PRAGMA user_version = 12;
COMMIT;
