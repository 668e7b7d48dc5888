"""The administration API: what each path and method does, apart from HTTP itself (servicebus-amqp.md §10)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlencode
from xml.etree.ElementTree import Element, SubElement

from devhost.servicebus.access import SharedAccessPolicy
from devhost.servicebus.atom import CONNECT, entry_bytes, error_bytes, format_moment, make_entry, make_feed, read_entry
from devhost.servicebus.atom_descriptions import read_description, write_description
from devhost.servicebus.atom_rules import read_rule, write_rule
from devhost.servicebus.broker import Broker
from devhost.servicebus.descriptions import QueueDescription, RuleDescription, SubscriptionDescription, TopicDescription
from devhost.servicebus.errors import ArgumentError, EntityNotFoundError, ServiceBusError, UnauthorizedError

Item = TypeVar("Item")

_PAGE = 100
_NAMESPACE = "sbemulatorns"
_SUPPLEMENTS = {
    "ServiceBusSupplementaryAuthorization": "forward_to",
    "ServiceBusDlqSupplementaryAuthorization": "forward_dead_letters_to",
}


@dataclass(frozen=True, slots=True)
class Request:
    """What matters of an HTTP request."""

    method: str
    path: str
    """Decoded, without the query."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Whose names ignore case."""
    body: bytes
    address: str
    """`http://HOST:PORT` as the client wrote it."""


class Answer(NamedTuple):
    """What becomes an HTTP response."""

    status: int
    body: bytes = b""


class AdminApi:
    """The operations, on one broker."""

    def __init__(self, broker: Broker, policy: SharedAccessPolicy, now: Callable[[], int]) -> None:
        """`now` answers in ms since 1970."""
        self.broker = broker
        self.policy = policy
        self.now = now
        self.started_at = now()

    def handle(self, request: Request) -> Answer:
        """Carry a request out. Does not raise: what is wrong with it becomes an answer."""
        try:
            self.policy.check_token(request.headers.get("Authorization"), f"{request.address}{request.path}")
            return _Call(self, request).run()
        except ServiceBusError as error:
            return Answer(error.status, error_bytes(error.status, str(error)))


class _Call:
    """One request on its way."""

    def __init__(self, api: AdminApi, request: Request) -> None:
        self._broker = api.broker
        self._api = api
        self._request = request

    def run(self) -> Answer:
        """Raises ServiceBusError."""
        parts = [part for part in self._request.path.split("/") if part]
        match [part.lower() for part in parts]:
            case []:
                raise ArgumentError("The path names no entity.")
            case ["$namespaceinfo"]:
                return self._namespace_info()
            case ["$resources", "queues"]:
                return self._list(self._broker.queues(), self._queue_entry)
            case ["$resources", "topics"]:
                return self._list(self._broker.topics(), self._topic_entry)
            case [_, *others] if "subscriptions" in others:
                place = others.index("subscriptions") + 1
                return self._under_topic("/".join(parts[:place]), parts[place + 1 :])
        return self._queue_or_topic("/".join(parts))

    def _queue_or_topic(self, name: str) -> Answer:
        if self._names_topic(name):
            return self._resource(
                get=partial(self._broker.get_topic, name),
                create=self._broker.create_topic,
                update=self._broker.update_topic,
                delete=partial(self._broker.delete_topic, name),
                read=partial(read_description, TopicDescription, name),
                entry=self._topic_entry,
            )
        return self._resource(
            get=partial(self._broker.get_queue, name),
            create=self._broker.create_queue,
            update=self._broker.update_queue,
            delete=partial(self._broker.delete_queue, name),
            read=partial(read_description, QueueDescription, name),
            entry=self._queue_entry,
        )

    def _names_topic(self, name: str) -> bool:
        if self._request.method == "PUT":
            return read_entry(self._request.body).tag.endswith("}TopicDescription")
        return any(topic.name.lower() == name.lower() for topic in self._broker.topics())

    def _under_topic(self, topic: str, parts: list[str]) -> Answer:
        match parts:
            case []:
                return self._list(self._broker.subscriptions(topic), partial(self._subscription_entry, topic))
            case [subscription]:
                return self._subscription(topic, subscription)
            case [subscription, word] if word.lower() == "rules":
                rules = sorted(self._broker.rules(topic, subscription), key=lambda rule: rule.name.lower())
                return self._list(rules, partial(self._rule_entry, topic, subscription))
            case [subscription, word, rule] if word.lower() == "rules":
                return self._resource(
                    get=partial(self._broker.get_rule, topic, subscription, rule),
                    create=partial(self._broker.create_rule, topic, subscription),
                    update=partial(self._broker.update_rule, topic, subscription),
                    delete=partial(self._broker.delete_rule, topic, subscription, rule),
                    read=partial(read_rule, rule),
                    entry=partial(self._rule_entry, topic, subscription),
                )
        raise EntityNotFoundError(f"There is nothing at {self._request.path}.")

    def _subscription(self, topic: str, name: str) -> Answer:
        first_rules: list[RuleDescription] = []

        def read(element: Element) -> SubscriptionDescription:
            first = element.find(f"{{{CONNECT}}}DefaultRuleDescription")
            if first is not None:
                first_rules.append(read_rule(None, first))
            return read_description(SubscriptionDescription, name, element)

        return self._resource(
            get=partial(self._broker.get_subscription, topic, name),
            create=lambda wanted: self._broker.create_subscription(topic, wanted, first_rules or None),
            update=partial(self._broker.update_subscription, topic),
            delete=partial(self._broker.delete_subscription, topic, name),
            read=read,
            entry=partial(self._subscription_entry, topic),
        )

    def _namespace_info(self) -> Answer:
        info = Element(f"{{{CONNECT}}}NamespaceInfo")
        moment = self._api.started_at
        for name, text in (
            ("CreatedTime", format_moment(moment)),
            ("MessagingSKU", "Standard"),
            ("ModifiedTime", format_moment(moment)),
            ("Name", _NAMESPACE),
            ("NamespaceType", "Messaging"),
        ):
            SubElement(info, f"{{{CONNECT}}}{name}").text = text
        return Answer(200, entry_bytes(self._entry("$namespaceinfo", _NAMESPACE, moment, moment, info)))

    # What the sorts of entities share

    def _resource(
        self,
        *,
        get: Callable[[], Item],
        create: Callable[[Item], Item],
        update: Callable[[Item], Item],
        delete: Callable[[], None],
        read: Callable[[Element], Item],
        entry: Callable[[Item], Element],
    ) -> Answer:
        """GET, DELETE or PUT of one thing: with If-Match a PUT changes what there is, without it creates."""
        match self._request.method:
            case "GET":
                return Answer(200, entry_bytes(entry(get())))
            case "DELETE":
                delete()
                return Answer(200)
            case "PUT":
                wanted = read(read_entry(self._request.body))
                self._check_forwarding(wanted)
                if self._request.headers.get("If-Match"):
                    return Answer(200, entry_bytes(entry(update(wanted))))
                return Answer(201, entry_bytes(entry(create(wanted))))
        raise self._unknown_method()

    def _list(self, items: Sequence[Item], entry: Callable[[Item], Element]) -> Answer:
        if self._request.method != "GET":
            raise self._unknown_method()
        skip, top = self._number("$skip", 0), min(self._number("$top", _PAGE), _PAGE)
        address = f"{self._request.address}{self._request.path}"
        following = None
        if skip + top < len(items):
            following = f"{address}?{urlencode({**self._request.query, '$skip': skip + top, '$top': top})}"
        entries = [entry(item) for item in items[skip : skip + top]]
        return Answer(200, entry_bytes(make_feed(address, following, entries, self._api.now())))

    def _check_forwarding(self, description: Any) -> None:
        """Who forwards must show that it may send to what it forwards to."""
        for header, attribute in _SUPPLEMENTS.items():
            target = getattr(description, attribute, None)
            if target:
                token = self._request.headers.get(header)
                if token is None:
                    raise UnauthorizedError(f"To forward, the request must carry the header {header} with a token.")
                self._api.policy.check_token(token, target)

    def _number(self, name: str, default: int) -> int:
        text = self._request.query.get(name, str(default))
        if not text.isdecimal() or len(text) > 9:
            raise ArgumentError(f"{name} must be a whole number, not {text!r}.")
        return int(text)

    def _unknown_method(self) -> ArgumentError:
        return ArgumentError(f"{self._request.method} is not known for {self._request.path}.")

    # Entries

    def _queue_entry(self, queue: QueueDescription) -> Element:
        counts = self._broker.counts(queue.name)
        element = write_description(queue, counts, self._bus_address)
        return self._entry(queue.name, queue.name, counts.created_at, counts.updated_at, element)

    def _topic_entry(self, topic: TopicDescription) -> Element:
        counts = self._broker.counts(topic.name)
        subscriptions = self._broker.subscriptions(topic.name)
        element = write_description(topic, counts, self._bus_address, len(subscriptions))
        return self._entry(topic.name, topic.name, counts.created_at, counts.updated_at, element)

    def _subscription_entry(self, topic: str, subscription: SubscriptionDescription) -> Element:
        path = f"{topic}/Subscriptions/{subscription.name}"
        counts = self._broker.counts(path)
        element = write_description(subscription, counts, self._bus_address)
        return self._entry(path, subscription.name, counts.created_at, counts.updated_at, element)

    def _rule_entry(self, topic: str, subscription: str, rule: RuleDescription) -> Element:
        path = f"{topic}/Subscriptions/{subscription}"
        created_at = self._broker.counts(path).created_at
        return self._entry(f"{path}/Rules/{rule.name}", rule.name, created_at, created_at, write_rule(rule, created_at))

    def _entry(self, path: str, title: str, created_at: int, updated_at: int, description: Element) -> Element:
        return make_entry(f"{self._request.address}/{path}", title, created_at, updated_at, description)

    @property
    def _bus_address(self) -> str:
        return f"sb://{self._request.address.partition('://')[2]}"
