-- name: all_presets
-- Every own preset, by name.
SELECT name, recipe, updated_at FROM presets ORDER BY name;

-- name: preset
-- One own preset.
SELECT name, recipe, updated_at FROM presets WHERE name = :name;

-- name: replace_preset
-- Another recipe for a preset that is there.
UPDATE presets SET recipe = :recipe, updated_at = :updated_at WHERE name = :name
RETURNING name;

-- name: insert_preset
-- A new preset, unless there are as many as there may be.
INSERT INTO presets (name, recipe, updated_at)
SELECT :name, :recipe, :updated_at WHERE (SELECT count(*) FROM presets) < :most
RETURNING name;

-- name: delete_preset
-- A preset; no job minds.
DELETE FROM presets WHERE name = :name
RETURNING name;
