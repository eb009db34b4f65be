"""Every number of Discord the sandbox enforces, each once, with the place it comes from.

This module must never hold behaviour. Sources: [O] Discord's documentation, [S] its OpenAPI file, [C] observed by the
community or said by Discord's staff, [ours] not published by Discord and chosen here to be on the strict side.
Lengths count Unicode code points; sizes are bytes; windows are seconds.
"""

from dataclasses import dataclass

# Interactions [O]
ACKNOWLEDGE_SECONDS = 3.0
INTERACTION_TOKEN_SECONDS = 15 * 60.0
AUTOCOMPLETE_CHOICES = 25
CHOICE_NAME = 100
CHOICE_VALUE = 100
MODAL_TITLE = 45
MODAL_COMPONENTS = 5
MODAL_LABEL_TEXT = 45
MODAL_LABEL_DESCRIPTION = 100
TEXT_INPUT_VALUE = 4000
TEXT_INPUT_PLACEHOLDER = 100
MODAL_FILES = 10
RADIO_OPTIONS = (2, 10)
CHECKBOX_OPTIONS = (1, 10)

# Messages [O]
CONTENT = 2000
NONCE = 25
NONCE_MEMORY_SECONDS = 300.0  # "the past few minutes"
EMBEDS = 10
EMBED_TOTAL = 6000
EMBED_TITLE = 256
EMBED_DESCRIPTION = 4096
EMBED_FIELDS = 25
EMBED_FIELD_NAME = 256
EMBED_FIELD_VALUE = 1024
EMBED_FOOTER = 2048
EMBED_AUTHOR = 256
URL = 2048
FILES = 10
FILE_BYTES = 10 * 1024 * 1024
REQUEST_BYTES = 25 * 1024 * 1024
FILE_DESCRIPTION = 1024
ALLOWED_MENTION_IDS = 100
PINS = 250
REACTIONS = 20
BULK_DELETE = (2, 100)
BULK_DELETE_AGE_SECONDS = 14 * 24 * 3600.0
HISTORY_PAGE = 100
POLL_QUESTION = 300
POLL_ANSWERS = 10
POLL_ANSWER = 55
POLL_HOURS = 768

# Components [O][C]
ACTION_ROWS = 5
ROW_BUTTONS = 5
V2_COMPONENTS = 40
V2_TEXT = 4000
CUSTOM_ID = 100
BUTTON_LABEL = 80
BUTTON_URL = 512
SELECT_OPTIONS = 25
SELECT_LABEL = 100
SELECT_VALUE = 100
SELECT_DESCRIPTION = 100
SELECT_PLACEHOLDER = 150
SECTION_TEXTS = (1, 3)
GALLERY_ITEMS = (1, 10)
ALT_TEXT = 1024

# Commands [O][S]
COMMANDS_SLASH = 100
COMMANDS_USER = 15
COMMANDS_MESSAGE = 15
COMMAND_NAME = 32
COMMAND_DESCRIPTION = 100
COMMAND_OPTIONS = 25
COMMAND_CHOICES = 25
COMMAND_CHARACTERS = 8000
COMMAND_STRING_LENGTH = 6000
COMMAND_CREATES_PER_DAY = 200
NUMBER = 2**53

# Channels, threads, webhooks, guilds [O]
CHANNEL_NAME = 100
CHANNEL_TOPIC = 1024
FORUM_TOPIC = 4096
SLOWMODE = 21600
GUILD_CHANNELS = 500
CATEGORY_CHANNELS = 50
ARCHIVE_MINUTES = (60, 1440, 4320, 10080)
ACTIVE_THREADS = 1000
WEBHOOKS_PER_CHANNEL = 15
WEBHOOK_NAME = 80
AUDIT_REASON = 512
MEMBERS_PAGE = 1000
NICKNAME = 32

# Gateway [O][C]
HEARTBEAT_INTERVAL_MS = 41250
GATEWAY_SENDS = 120
GATEWAY_SENDS_SECONDS = 60.0
GATEWAY_PAYLOAD_BYTES = 4096
IDENTIFIES_PER_DAY = 1000
IDENTIFY_SPACING_SECONDS = 5.0
REPLAY_EVENTS = 2000  # [ours] how many events a session keeps for RESUME
RESUME_SECONDS = 180.0  # [ours] how long a session without a connection may be resumed
CHUNK_MEMBERS = 1000
REQUEST_MEMBERS_LIMIT = 100

# HTTP rate limits (section 8 of the platform reference)
GLOBAL_PER_SECOND = 50
INVALID_REQUESTS = 10_000
INVALID_REQUESTS_SECONDS = 600.0
OLD_MESSAGE_SECONDS = 3600.0


@dataclass(frozen=True)
class Bucket:
    """So many requests per window, counted per scope; `shown` says whether the answers carry X-RateLimit headers.

    `scope` names the path parameters that make one counter, e.g. `("channel_id",)`.
    """

    name: str
    limit: int
    seconds: float
    scope: tuple[str, ...]
    shown: bool = True
    code: int | None = None
    message: str = "You are being rate limited."


CREATE_MESSAGE = Bucket("create_message", 5, 5.0, ("channel_id",))
EDIT_MESSAGE = Bucket("edit_message", 5, 5.0, ("channel_id",))
EDIT_OLD_MESSAGE = Bucket(
    "edit_old_message", 3, 6.0, ("channel_id",), shown=False, code=30046,
    message="Maximum number of edits to messages older than 1 hour reached. Try again later",
)  # fmt: skip
DELETE_MESSAGE = Bucket("delete_message", 5, 1.0, ("channel_id",))
BULK_DELETE_MESSAGES = Bucket("bulk_delete", 1, 1.0, ("channel_id",))
REACT = Bucket("react", 1, 0.25, ("channel_id",))
RENAME_CHANNEL = Bucket("rename_channel", 2, 600.0, ("channel_id",), shown=False)
CREATE_THREAD = Bucket("create_thread", 50, 300.0, ("channel_id",), shown=False)  # window [C], count [ours]
EXECUTE_WEBHOOK = Bucket("execute_webhook", 5, 2.0, ("webhook_id", "webhook_token"))
CHANNEL_WEBHOOKS = Bucket("channel_webhooks", 30, 60.0, ("channel_id",), shown=False)
MEMBER_ROLES = Bucket("member_roles", 10, 10.0, ("guild_id",))

# What the sandbox itself keeps [ours]
MESSAGES_KEPT = 5000  # per channel; the oldest that are not pinned go first
EPHEMERALS_KEPT = 1000
INTERACTIONS_KEPT = 5000
REQUESTS_KEPT = 5000
HELLO_MESSAGES = 50
FRAMES_QUEUED = 5000  # per page socket or gateway connection; a reader that is further behind is dropped
