-- Nothing: the number belongs to a change that is on its way.
BEGIN IMMEDIATE;
PRAGMA user_version = 10;
COMMIT;
