"""The schema of the attribute store, as numbered steps in one list.

Step number n is `MIGRATIONS[n - 1]`; the number of the last step applied stands in the
file's `PRAGMA user_version`. `PRAGMA application_id` marks the file as an attribute store,
so that some other SQLite database named by mistake is refused instead of filled.

A step that has been released is never edited; a change of the schema is a new step.
"""

from __future__ import annotations

from collections.abc import Callable
from sqlite3 import Connection

from lsmseg_prompts.errors import StoreError

APPLICATION_ID = 0x4C534D53  # "LSMS"


def _initial(db: Connection) -> None:
    """Vocabularies, classes, attributes, LLMs, templates, attempts, descriptions, evaluations."""
    for statement in (
        """CREATE TABLE vocabularies (
            name TEXT PRIMARY KEY,
            title TEXT NOT NULL,
            class_count INTEGER NOT NULL
        )""",
        # A class is its place in its vocabulary: equal names may mean different things.
        """CREATE TABLE classes (
            vocabulary TEXT NOT NULL REFERENCES vocabularies(name),
            class_index INTEGER NOT NULL,
            name TEXT NOT NULL,
            readable TEXT NOT NULL,
            sense TEXT,
            synonyms TEXT NOT NULL DEFAULT '[]',
            PRIMARY KEY (vocabulary, class_index)
        )""",
        """CREATE TABLE attributes (
            name TEXT PRIMARY KEY,
            meaning TEXT,
            kind TEXT NOT NULL DEFAULT 'user' CHECK (kind IN ('paper', 'pseudo', 'user'))
        )""",
        """CREATE TABLE llms (
            name TEXT PRIMARY KEY,
            provenance TEXT
        )""",
        """CREATE TABLE templates (
            hash TEXT PRIMARY KEY,
            name TEXT NOT NULL,
            text TEXT NOT NULL
        )""",
        """CREATE TABLE attempts (
            id INTEGER PRIMARY KEY,
            vocabulary TEXT NOT NULL,
            class_index INTEGER NOT NULL,
            attribute TEXT NOT NULL REFERENCES attributes(name),
            llm TEXT NOT NULL REFERENCES llms(name),
            template_hash TEXT REFERENCES templates(hash),
            asked_model TEXT NOT NULL,
            served_model TEXT,
            parameters TEXT NOT NULL DEFAULT '{}',
            prompt TEXT NOT NULL,
            reply TEXT,
            finish_reason TEXT,
            input_tokens INTEGER,
            output_tokens INTEGER,
            cost_usd REAL,
            http_status INTEGER,
            error_class TEXT,
            error_message TEXT,
            request_id TEXT,
            started_at TEXT NOT NULL,
            duration_seconds REAL,
            FOREIGN KEY (vocabulary, class_index) REFERENCES classes(vocabulary, class_index)
        )""",
        "CREATE INDEX attempts_of_cell ON attempts (vocabulary, class_index, attribute, llm)",
        # 77 is CLIP's context length; a text that does not fit can never become 'done'.
        """CREATE TABLE descriptions (
            vocabulary TEXT NOT NULL,
            class_index INTEGER NOT NULL,
            attribute TEXT NOT NULL REFERENCES attributes(name),
            llm TEXT NOT NULL REFERENCES llms(name),
            text TEXT,
            tokens INTEGER,
            status TEXT NOT NULL CHECK (status IN ('done', 'failed')),
            reason TEXT,
            template_hash TEXT REFERENCES templates(hash),
            attempt_id INTEGER REFERENCES attempts(id),
            updated_at TEXT NOT NULL,
            PRIMARY KEY (vocabulary, class_index, attribute, llm),
            FOREIGN KEY (vocabulary, class_index) REFERENCES classes(vocabulary, class_index),
            CHECK (status <> 'done' OR (text IS NOT NULL AND tokens IS NOT NULL
                                        AND tokens BETWEEN 3 AND 77))
        )""",
        """CREATE TABLE evaluations (
            id INTEGER PRIMARY KEY,
            created_at TEXT NOT NULL,
            run TEXT,
            stage TEXT,
            benchmark TEXT NOT NULL,
            split TEXT,
            pictures INTEGER,
            model TEXT NOT NULL,
            weights_hash TEXT,
            vocabulary TEXT,
            llm TEXT,
            prompt_set TEXT NOT NULL,
            attributes TEXT NOT NULL DEFAULT '[]',
            composition TEXT,
            subset TEXT NOT NULL DEFAULT 'all',
            miou REAL,
            miou_low REAL,
            miou_high REAL,
            details TEXT NOT NULL DEFAULT '{}'
        )""",
        """CREATE VIEW current_descriptions AS
            SELECT d.vocabulary, d.class_index, c.name AS class, c.readable, d.attribute, d.llm,
                   d.text, d.tokens, d.updated_at
            FROM descriptions AS d
            JOIN classes AS c USING (vocabulary, class_index)
            WHERE d.status = 'done'
            ORDER BY d.vocabulary, d.class_index, d.llm, d.attribute""",
    ):
        db.execute(statement)


def _generation(db: Connection) -> None:
    """Attempts that are about no class or several attributes, that were sent and maybe lost, or
    that belong to a batch; who is asking what; texts of people's own; reviews."""
    for statement in (
        # A process that asks. One that was killed is known by its silence or its pid.
        """CREATE TABLE runs (
            id TEXT PRIMARY KEY,
            host TEXT NOT NULL,
            pid INTEGER NOT NULL,
            started_at TEXT NOT NULL,
            seen_at REAL NOT NULL,
            ended_at TEXT
        )""",
        """CREATE TABLE batches (
            id TEXT PRIMARY KEY,
            vocabulary TEXT NOT NULL REFERENCES vocabularies(name),
            llm TEXT NOT NULL REFERENCES llms(name),
            host TEXT,
            remote_id TEXT,
            status TEXT NOT NULL,
            calls TEXT NOT NULL,
            created_at TEXT NOT NULL,
            ended_at TEXT
        )""",
        # Whoever asks for a cell claims it first: `owner` is a run's id, or a batch's.
        """CREATE TABLE claims (
            vocabulary TEXT NOT NULL,
            class_index INTEGER NOT NULL,
            attribute TEXT NOT NULL,
            llm TEXT NOT NULL,
            owner TEXT NOT NULL,
            PRIMARY KEY (vocabulary, class_index, attribute, llm)
        ) WITHOUT ROWID""",
        "CREATE INDEX claims_of_owner ON claims (owner)",
        """CREATE TABLE attempts_2 (
            id INTEGER PRIMARY KEY,
            purpose TEXT NOT NULL DEFAULT 'describe'
                CHECK (purpose IN ('describe', 'attributes', 'check-images', 'names')),
            state TEXT NOT NULL DEFAULT 'ended' CHECK (state IN ('sent', 'ended', 'lost')),
            vocabulary TEXT,
            class_index INTEGER,
            attribute TEXT REFERENCES attributes(name),
            attributes TEXT,
            llm TEXT NOT NULL REFERENCES llms(name),
            run TEXT REFERENCES runs(id),
            batch TEXT REFERENCES batches(id),
            host TEXT,
            try INTEGER NOT NULL DEFAULT 1,
            template_hash TEXT REFERENCES templates(hash),
            asked_model TEXT NOT NULL,
            served_model TEXT,
            parameters TEXT NOT NULL DEFAULT '{}',
            prompt TEXT NOT NULL,
            history TEXT,
            reply TEXT,
            verdict TEXT,
            finish_reason TEXT,
            input_tokens INTEGER,
            output_tokens INTEGER,
            cost_usd REAL,
            cost_is_bound INTEGER NOT NULL DEFAULT 0,
            http_status INTEGER,
            error_class TEXT,
            error_message TEXT,
            request_id TEXT,
            started_at TEXT NOT NULL,
            duration_seconds REAL,
            FOREIGN KEY (vocabulary, class_index) REFERENCES classes(vocabulary, class_index)
        )""",
        f"INSERT INTO attempts_2 ({_FIRST_ATTEMPTS}) SELECT {_FIRST_ATTEMPTS} FROM attempts",
        # They were judged when they came; one without a verdict would be judged anew.
        "UPDATE attempts_2 SET verdict = 'judged before verdicts were kept' WHERE reply NOT NULL",
        "DROP TABLE attempts",
        "ALTER TABLE attempts_2 RENAME TO attempts",
        "CREATE INDEX attempts_of_cell ON attempts (vocabulary, class_index, attribute, llm)",
        "CREATE INDEX attempts_under_way ON attempts (run) WHERE state = 'sent'",
        """ALTER TABLE descriptions ADD COLUMN source TEXT NOT NULL DEFAULT 'llm'
            CHECK (source IN ('llm', 'human', 'import'))""",
        # No rerun overwrites a locked text. A stale one is to be asked anew (--redo).
        "ALTER TABLE descriptions ADD COLUMN locked INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE descriptions ADD COLUMN stale INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE descriptions ADD COLUMN review TEXT",
        "CREATE INDEX descriptions_of_text ON descriptions (vocabulary, llm, attribute, text)",
        """CREATE TABLE edits (
            id INTEGER PRIMARY KEY,
            vocabulary TEXT NOT NULL,
            class_index INTEGER NOT NULL,
            attribute TEXT NOT NULL,
            llm TEXT NOT NULL,
            old_text TEXT,
            new_text TEXT,
            edited_at TEXT NOT NULL
        )""",
    ):
        db.execute(statement)


def _measured(db: Connection) -> None:
    """What was measured before: counts of prompt sets, and the runs that answered a request."""
    for statement in (
        # scorer: hash of all that counts depend on but the texts; texts: hash of these. Whatever
        # changes one of them finds nothing, and two runs that measure the same enter it once.
        """CREATE TABLE counts (
            scorer TEXT NOT NULL,
            texts TEXT NOT NULL,
            pictures INTEGER NOT NULL,
            classes INTEGER NOT NULL,
            data BLOB NOT NULL,
            created_at TEXT NOT NULL,
            PRIMARY KEY (scorer, texts)
        )""",
        # request: hash of the arguments, the code, the weights, the data and the texts; files:
        # JSON, of each file of the run's folder what it is and its SHA-256.
        """CREATE TABLE answers (
            request TEXT PRIMARY KEY,
            directory TEXT NOT NULL,
            files TEXT NOT NULL,
            created_at TEXT NOT NULL
        )""",
    ):
        db.execute(statement)


def _attempt_number(db: Connection) -> None:
    """A column named after a keyword of Python gets a name of its own."""
    db.execute("ALTER TABLE attempts RENAME COLUMN try TO attempt_number")


_FIRST_ATTEMPTS = (
    "id, vocabulary, class_index, attribute, llm, template_hash, asked_model, served_model, "
    "parameters, prompt, reply, finish_reason, input_tokens, output_tokens, cost_usd, "
    "http_status, error_class, error_message, request_id, started_at, duration_seconds"
)

MIGRATIONS: list[Callable[[Connection], None]] = [_initial, _generation, _measured, _attempt_number]
SCHEMA_VERSION = len(MIGRATIONS)


def migrate(db: Connection, where: str) -> None:
    """Bring `db` to SCHEMA_VERSION. `where` names the file in messages.

    Raises StoreError for a newer schema and for a database that is not an attribute store.
    Several processes may call it at once: the version is read again under the write lock.
    """
    if schema_version(db, where) == SCHEMA_VERSION:
        return
    # A table that others point at can only be made anew while nobody looks at where they point;
    # this cannot be switched inside a transaction.
    db.execute("PRAGMA foreign_keys = OFF")
    # IMMEDIATE takes the write lock before the first read; a deferred BEGIN that reads and
    # then writes fails with "database is locked" as soon as another process writes between.
    db.execute("BEGIN IMMEDIATE")
    try:
        for number in range(schema_version(db, where) + 1, SCHEMA_VERSION + 1):
            MIGRATIONS[number - 1](db)
            db.execute(f"PRAGMA user_version = {number}")
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        if dangling := db.execute("PRAGMA foreign_key_check").fetchone():
            raise StoreError(f"The store {where} is damaged: a row of {dangling[0]} hangs loose.")
        db.execute("COMMIT")
    except BaseException:
        db.rollback()
        raise
    finally:
        db.execute("PRAGMA foreign_keys = ON")


def check_readable(db: Connection, where: str) -> None:
    """Raise StoreError unless `db` is an attribute store of exactly this schema."""
    version = schema_version(db, where)
    if version < SCHEMA_VERSION:
        raise StoreError(
            f"The store {where} has the older schema {version} (this version reads "
            f"{SCHEMA_VERSION}): open it once for writing, for example with "
            f"`lsmseg-prompts generate --store {where}`, to bring it up to date."
        )


def schema_version(db: Connection, where: str) -> int:
    """The schema number of `db`, 0 for an empty file.

    Raises StoreError for a database that is not an attribute store, or of a newer schema.
    """
    objects = int(db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    application_id = int(db.execute("PRAGMA application_id").fetchone()[0])
    if application_id != APPLICATION_ID:
        if objects or application_id:
            raise StoreError(
                f"{where} is a database, but not an attribute store: name another file with "
                "--store or LSMSEG_PROMPTS_STORE."
            )
        return 0
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"The store {where} has schema {version}, newer than this version of "
            f"lsmseg-prompts ({SCHEMA_VERSION}): upgrade lsmseg-prompts, or name another file "
            "with --store."
        )
    return version
