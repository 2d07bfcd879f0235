-- Nothing: its number is another change's.
BEGIN IMMEDIATE;
PRAGMA user_version = 12;
COMMIT;
