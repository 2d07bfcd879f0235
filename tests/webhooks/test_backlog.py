"""How many messages wait."""

from __future__ import annotations

from imgsvc.store.store import Store
from imgsvc.webhooks.backlog import Backlog
from imgsvc.webhooks.deliverer import Deliverer
from tests.receivers import Receiver
from tests.webhooks.conftest import finish, hook


async def test_what_waits_is_counted_until_it_is_sent(
    store: Store, receiver: Receiver, deliverer: Deliverer
) -> None:
    backlog = Backlog(store)
    for _ in range(3):
        await finish(store, hook(f"{receiver.url}/hook"))
    assert backlog.waiting == 0
    await backlog.run_once()
    assert backlog.waiting == 3
    assert await store.waiting_deliveries(2) == 2
    await deliverer.run_once()
    await backlog.run_once()
    assert backlog.waiting == 0
