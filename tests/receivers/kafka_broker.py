"""The mock Kafka cluster of librdkafka: two brokers, one topic of four partitions.

Prints its addresses in one line, then obeys what it reads, line by line, and says `ok` after each:
`down` and `up` (both brokers), `fail CODE COUNT` (the next produce requests get this error),
`leader PARTITION BROKER`, `topic NAME`, `address BROKER HOST PORT` (what it says of itself). It ends
with its input.
"""

import ctypes
import glob
import os
import sys

import confluent_kafka

TOPIC, PARTITIONS, BROKERS = b"steps", 4, (1, 2)
PRODUCER, PRODUCE = 0, 0

site = os.path.dirname(os.path.dirname(confluent_kafka.__file__))
(path,) = glob.glob(os.path.join(site, "confluent_kafka.libs", "librdkafka-*"))
lib = ctypes.CDLL(path)


def function(name, result, *arguments):
    found = getattr(lib, name)
    found.restype, found.argtypes = result, arguments
    return found


pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
conf_new = function("rd_kafka_conf_new", pointer)
new = function("rd_kafka_new", pointer, number, pointer, text, ctypes.c_size_t)
cluster_new = function("rd_kafka_mock_cluster_new", pointer, pointer, number)
bootstraps = function("rd_kafka_mock_cluster_bootstraps", text, pointer)
topic_create = function("rd_kafka_mock_topic_create", number, pointer, text, number, number)
set_down = function("rd_kafka_mock_broker_set_down", number, pointer, ctypes.c_int32)
set_up = function("rd_kafka_mock_broker_set_up", number, pointer, ctypes.c_int32)
set_host_port = function(
    "rd_kafka_mock_broker_set_host_port", number, pointer, ctypes.c_int32, text, number
)
set_leader = function(
    "rd_kafka_mock_partition_set_leader", number, pointer, text, ctypes.c_int32, ctypes.c_int32
)
push_errors = function(
    "rd_kafka_mock_push_request_errors_array",
    None,
    pointer,
    ctypes.c_int16,
    ctypes.c_size_t,
    ctypes.POINTER(number),
)

why = ctypes.create_string_buffer(512)
handle = new(PRODUCER, conf_new(), why, len(why))
assert handle, why.value
cluster = cluster_new(handle, len(BROKERS))
assert topic_create(cluster, TOPIC, PARTITIONS, 1) == 0
print(bootstraps(cluster).decode(), flush=True)

for line in sys.stdin:
    match line.split():
        case ["down"]:
            assert all(set_down(cluster, broker) == 0 for broker in BROKERS)
        case ["up"]:
            assert all(set_up(cluster, broker) == 0 for broker in BROKERS)
        case ["fail", code, count]:
            codes = [int(code)] * int(count)
            push_errors(cluster, PRODUCE, len(codes), (number * len(codes))(*codes))
        case ["leader", partition, broker]:
            assert set_leader(cluster, TOPIC, int(partition), int(broker)) == 0
        case ["address", broker, host, port]:
            assert set_host_port(cluster, int(broker), host.encode(), int(port)) == 0
        case ["topic", name]:
            assert topic_create(cluster, name.encode(), PARTITIONS, 1) == 0
        case unknown:
            raise SystemExit(f"unknown: {unknown}")
    print("ok", flush=True)
