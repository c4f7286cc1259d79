"""Files into rooms, on the backends that take them (Errbot's `send_stream_request`, or Slack's own API)."""

from __future__ import annotations

import io
import logging
from typing import Any

from errbot_sentry.chat.incoming import thread_of
from errbot_sentry.chat.render.escaping import plain_file
from errbot_sentry.domain.conversation import Upload

log = logging.getLogger(__name__)

MODES = frozenset({"slackv3", "telegram", "test"})


def send_file(bot: Any, message: Any, upload: Upload) -> bool:
    """Send a file to where a message was typed; False where the backend takes none, or did not take this one."""
    return send_file_to(bot, message.frm if message.is_direct else message.to, upload, thread_of(message))


def send_file_to(bot: Any, target: Any, upload: Upload, thread: str = "") -> bool:
    """Send a file to a room or person (Errbot's identifier), in a thread where the backend has them; False as above."""
    if str(bot.mode) not in MODES:
        return False
    try:
        content = upload.make()
    except Exception:
        # matplotlib is installed and yet cannot be imported, say: the words are shown instead.
        log.exception("%s could not be made", upload.name)
        return False
    if upload.media_type.startswith("text/"):
        content = plain_file(content.decode("utf-8", "replace")).encode()
    try:
        if str(bot.mode) == "slackv3":
            _send_to_slack(bot, target, upload.name, content, thread)
        else:
            bot.send_stream_request(
                target, io.BytesIO(content), name=upload.name, size=len(content), stream_type=upload.media_type
            )
    except Exception as error:  # noqa: BLE001 - each backend raises what it likes; the words are shown instead
        log.warning("the backend did not take %s: %s", upload.name, error)
        return False
    return True


def _send_to_slack(bot: Any, target: Any, name: str, content: bytes, thread: str) -> None:
    """Past the backend's own way (slackv3 0.3.2), which names a room as `<#C123|ops>`, where Slack wants `C123`, and
    reports no failure."""
    channel = str(getattr(target, "id", None) or target.channelid)
    bot.slack_web.files_upload_v2(channel=channel, filename=name, content=content, thread_ts=thread or None)
