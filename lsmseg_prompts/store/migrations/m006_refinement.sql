-- Refinements: their rounds, and every candidate that was tried.

-- request: hash of all that a refinement depends on but the number of its rounds.
CREATE TABLE refinements (
    id INTEGER PRIMARY KEY,
    request TEXT NOT NULL UNIQUE,
    labels TEXT NOT NULL CHECK (labels IN ('all', 'seen')),
    vocabulary TEXT NOT NULL REFERENCES vocabularies(name),
    benchmark TEXT NOT NULL,
    model TEXT NOT NULL,
    created_at TEXT NOT NULL
);

CREATE TABLE refinement_rounds (
    refinement INTEGER NOT NULL REFERENCES refinements(id),
    round INTEGER NOT NULL,
    half INTEGER NOT NULL CHECK (half IN (0, 1)),
    before REAL NOT NULL,
    after REAL NOT NULL,
    gain REAL,
    gain_low REAL,
    gain_high REAL,
    confusions TEXT NOT NULL,
    cost_usd REAL NOT NULL,
    seconds REAL NOT NULL,
    ended_at TEXT NOT NULL,
    PRIMARY KEY (refinement, round)
) WITHOUT ROWID;

-- The texts that candidates consist of, once each; hash: of the class's place and these texts.
CREATE TABLE refinement_texts (
    hash TEXT PRIMARY KEY,
    texts TEXT NOT NULL
) WITHOUT ROWID;

-- parent: the hash of the class's texts that it would take the place of. gain: of mIoU on the half
-- that proposed, own: of the class's IoU there; decided: of mIoU on the other half, where the
-- candidate was proposed to it. attempts: the questions to an LLM that it answers.
CREATE TABLE refinement_candidates (
    refinement INTEGER NOT NULL,
    round INTEGER NOT NULL,
    place INTEGER NOT NULL,
    class_index INTEGER NOT NULL,
    hash TEXT NOT NULL REFERENCES refinement_texts(hash),
    parent TEXT NOT NULL,
    proposer TEXT NOT NULL,
    recipe TEXT NOT NULL,
    attempts TEXT NOT NULL DEFAULT '[]',
    cost_usd REAL NOT NULL DEFAULT 0,
    gain REAL,
    own REAL,
    proposed INTEGER,
    decided REAL,
    kept INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (refinement, round, place),
    FOREIGN KEY (refinement, round) REFERENCES refinement_rounds(refinement, round)
) WITHOUT ROWID;
