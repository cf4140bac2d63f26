-- Reasoning models: what they thought, where that comes apart from the reply, and how much of the
-- output it was. The system message of a question.

ALTER TABLE attempts ADD COLUMN system TEXT;

ALTER TABLE attempts ADD COLUMN thoughts TEXT;

ALTER TABLE attempts ADD COLUMN reasoning_tokens INTEGER;
