-- A column named after a keyword of Python gets a name of its own.

ALTER TABLE attempts RENAME COLUMN try TO attempt_number;
