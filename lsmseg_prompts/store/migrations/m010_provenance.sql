-- Whose a text is that was taken into the cell of another LLM, and what a change replaced, whole.

-- taken_from: the LLM that wrote the text, where it is not the cell's own.
ALTER TABLE descriptions ADD COLUMN taken_from TEXT REFERENCES llms(name);

-- action: what changed the text. old_row, new_row: JSON, the row of descriptions before and after,
-- without its key; NULL where there was none in this store.
ALTER TABLE edits ADD COLUMN action TEXT CHECK (action IN ('edit', 'import', 'take', 'undo'));

ALTER TABLE edits ADD COLUMN old_row TEXT;

ALTER TABLE edits ADD COLUMN new_row TEXT;

CREATE INDEX edits_of_cell ON edits (vocabulary, class_index, attribute, llm);
