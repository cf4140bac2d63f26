"""The calls and types of `lsmseg_prompts`, each with the module that it comes from."""
# isort: skip_file

# What commands do, under the commands' names.
from lsmseg_prompts.curation.backup import backup as store_backup
from lsmseg_prompts.curation.check import check as store_check
from lsmseg_prompts.curation.datasette import metadata as store_datasette
from lsmseg_prompts.curation.drafts import draft as store_draft
from lsmseg_prompts.curation.edits import cell as store_cell
from lsmseg_prompts.curation.edits import edit as store_edit
from lsmseg_prompts.curation.edits import lock as store_lock
from lsmseg_prompts.curation.edits import take as store_take
from lsmseg_prompts.curation.edits import unlock as store_unlock
from lsmseg_prompts.curation.history import edits as store_edits
from lsmseg_prompts.curation.history import undo as store_undo
from lsmseg_prompts.curation.imports import import_file as store_import
from lsmseg_prompts.curation.reports import attempts as store_attempts
from lsmseg_prompts.curation.reports import cells_of as store_show
from lsmseg_prompts.curation.reports import costs as store_costs
from lsmseg_prompts.curation.reports import diff as store_diff
from lsmseg_prompts.curation.table import cells as store_cells
from lsmseg_prompts.descriptions.loading import lint_store as store_lint
from lsmseg_prompts.descriptions.loading import load_pairs as load_pairs
from lsmseg_prompts.descriptions.new_vocabulary import vocab_new as vocab_new
from lsmseg_prompts.export import export as export
from lsmseg_prompts.export import load_export as load_export
from lsmseg_prompts.generation.captions import store_captions as store_captions
from lsmseg_prompts.generation.llm_check import llm_check as llm_check
from lsmseg_prompts.generation.run import generate as generate
from lsmseg_prompts.generation.stage1 import ask_attributes as attributes
from lsmseg_prompts.generation.vocab_check import vocab_check as vocab_check
from lsmseg_prompts.llm.listing import llm_list as llm_list
from lsmseg_prompts.prompts.class_texts import texts_for_classes as texts_for_classes
from lsmseg_prompts.prompts.from_store import prompt_set as prompt_set
from lsmseg_prompts.store.sqlite import working_store_path as store_path
from lsmseg_prompts.store.store import open_store as open_store
from lsmseg_prompts.store.store import open_store_readonly as open_store_readonly
from lsmseg_prompts.store.store import status as store_status
from lsmseg_prompts.vocabularies import load_vocabulary as load_vocabulary
from lsmseg_prompts.vocabularies import load_vocabulary as vocab_show
from lsmseg_prompts.vocabularies import vocab_list as vocab_list

# What they take and give.
from lsmseg_prompts.curation.table import CellsRequest as CellsRequest
from lsmseg_prompts.curation.table import CellTable as CellTable
from lsmseg_prompts.errors import BudgetError as BudgetError
from lsmseg_prompts.errors import ConfigurationError as ConfigurationError
from lsmseg_prompts.errors import ConflictError as ConflictError
from lsmseg_prompts.errors import LsmsegPromptsError as LsmsegPromptsError
from lsmseg_prompts.errors import PartialError as PartialError
from lsmseg_prompts.errors import ProviderError as ProviderError
from lsmseg_prompts.errors import RefusedError as RefusedError
from lsmseg_prompts.errors import StoreError as StoreError
from lsmseg_prompts.errors import UsageError as UsageError
from lsmseg_prompts.generation.request import GenerationRequest as GenerationRequest
from lsmseg_prompts.llm import LLM as LLM
from lsmseg_prompts.llm import make_llm as make_llm
from lsmseg_prompts.prompts.prompt_set import PromptSet as PromptSet
from lsmseg_prompts.store.descriptions import Description as Description
from lsmseg_prompts.store.store import Store as Store
from lsmseg_prompts.vocabularies import ClassEntry as ClassEntry
from lsmseg_prompts.vocabularies import Vocabulary as Vocabulary

__version__: str
__all__ = [
    "LLM",
    "BudgetError",
    "CellTable",
    "CellsRequest",
    "ClassEntry",
    "ConfigurationError",
    "ConflictError",
    "Description",
    "GenerationRequest",
    "LsmsegPromptsError",
    "PartialError",
    "PromptSet",
    "ProviderError",
    "RefusedError",
    "Store",
    "StoreError",
    "UsageError",
    "Vocabulary",
    "attributes",
    "export",
    "generate",
    "llm_check",
    "llm_list",
    "load_export",
    "load_pairs",
    "load_vocabulary",
    "make_llm",
    "open_store",
    "open_store_readonly",
    "prompt_set",
    "store_attempts",
    "store_backup",
    "store_captions",
    "store_cell",
    "store_cells",
    "store_check",
    "store_costs",
    "store_datasette",
    "store_diff",
    "store_draft",
    "store_edit",
    "store_edits",
    "store_import",
    "store_lint",
    "store_lock",
    "store_path",
    "store_show",
    "store_status",
    "store_take",
    "store_undo",
    "store_unlock",
    "texts_for_classes",
    "vocab_check",
    "vocab_list",
    "vocab_new",
    "vocab_show",
]  # fmt: skip
