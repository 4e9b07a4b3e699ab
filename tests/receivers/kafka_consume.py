"""Prints all records of a topic as lines of JSON: kafka_consume.py BROKERS TOPIC."""

import json
import sys

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

brokers, topic = sys.argv[1:]
consumer = Consumer(
    {
        "bootstrap.servers": brokers,
        "group.id": "reader",
        "enable.partition.eof": True,
        "auto.offset.reset": "earliest",
    }
)
partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
unread = set(partitions)
while unread:
    record = consumer.poll(30)
    assert record is not None, f"nothing comes, and {unread} are not read"
    if record.error():
        assert record.error().code() == KafkaError._PARTITION_EOF, record.error()
        unread.discard(record.partition())
        continue
    headers = {name: value.decode() for name, value in record.headers() or []}
    fields = {
        "partition": record.partition(),
        "key": record.key().decode(),
        "headers": headers,
        "value": record.value().decode(),
    }
    print(json.dumps(fields))
consumer.close()
