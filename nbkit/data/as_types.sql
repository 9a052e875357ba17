-- How a text is read as each type; NULL where it is not of that type.
CREATE OR REPLACE TEMP MACRO as_boolean(v) AS CASE WHEN lower(v) IN ('true', 'false') THEN CAST(v AS BOOLEAN) END;
CREATE OR REPLACE TEMP MACRO as_integer(v) AS
    CASE WHEN regexp_full_match(v, '[+-]?(0|[1-9]\d{0,17})') THEN CAST(v AS BIGINT) END;
CREATE OR REPLACE TEMP MACRO as_number(v) AS  -- leading zeros make a code, and no float tells long whole numbers apart
    CASE WHEN NOT regexp_matches(v, '^([+-]?0\d|[+-]?[1-9]\d{18,}$)') THEN TRY_CAST(v AS DOUBLE) END;
CREATE OR REPLACE TEMP MACRO as_thousands(v) AS coalesce(as_number(v),
    CASE WHEN regexp_full_match(v, '[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?') THEN CAST(replace(v, ',', '') AS DOUBLE) END);
CREATE OR REPLACE TEMP MACRO as_comma(v) AS coalesce(as_integer(v),
    CASE WHEN regexp_full_match(v, '[+-]?(\d+|\d{1,3}([. ]\d{3})+),\d+')
    THEN CAST(replace(translate(v, '. ', ''), ',', '.') AS DOUBLE) END);
CREATE OR REPLACE TEMP MACRO as_zoned(v) AS
    CASE WHEN regexp_full_match(v, '.*\d:\d\d.*(Z|[+-]\d\d(:?\d\d)?)') THEN TRY_CAST(v AS TIMESTAMPTZ) END;
CREATE OR REPLACE TEMP MACRO as_datetime(v) AS
    CASE WHEN regexp_full_match(v, '\d{4}-\d{1,2}-\d{1,2}([ T]\d.*)?') THEN TRY_CAST(v AS TIMESTAMP) END;
