"""Prints what programs take for their own IPv4 address when they take the first one: a line each, who and what."""

import ctypes
import fcntl
import socket
import struct

LOOPBACK = "127."


class Sockaddr(ctypes.Structure):
    _fields_ = [("family", ctypes.c_uint16), ("rest", ctypes.c_uint8 * 14)]


class Ifaddrs(ctypes.Structure):
    pass


Ifaddrs._fields_ = [
    ("next", ctypes.POINTER(Ifaddrs)),
    ("name", ctypes.c_char_p),
    ("flags", ctypes.c_uint),
    ("address", ctypes.POINTER(Sockaddr)),
]


def getifaddrs():
    """The C library's list, of which psutil, netifaces, Node.js and most others make theirs."""
    libc = ctypes.CDLL(None)
    item = ctypes.POINTER(Ifaddrs)()
    assert libc.getifaddrs(ctypes.byref(item)) == 0
    while item:
        one = item.contents
        if one.address and one.address.contents.family == socket.AF_INET:
            yield socket.inet_ntoa(bytes(one.address.contents.rest[2:6]))
        item = one.next


def dump(kind):
    """The messages of a dump of the kernel's, without their headers: Go's net package asks for just these."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
        flags = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
        netlink.send(struct.pack("=IHHIIB3x", 20, kind, flags, 1, 0, socket.AF_UNSPEC))
        while True:
            data = netlink.recv(1 << 16)
            while data:
                length, answer = struct.unpack_from("=IH", data)
                if answer == 3:  # NLMSG_DONE
                    return
                yield data[16:length]
                data = data[(length + 3) & ~3:]


def attributes(data):
    while data:
        length, kind = struct.unpack_from("=HH", data)
        yield kind, data[4:length]
        data = data[(length + 3) & ~3:]


def interface_addrs():
    """Go's net.InterfaceAddrs (RTM_GETADDR), as far as they are IPv4."""
    for message in dump(22):
        if message[0] == socket.AF_INET:
            yield socket.inet_ntoa(dict(attributes(message[8:]))[1])  # IFA_ADDRESS


def interfaces():
    """Go's net.Interfaces (RTM_GETLINK), and the first address of each."""
    for message in dump(18):
        name = dict(attributes(message[16:]))[3]  # IFLA_IFNAME
        yield address_of(name.rstrip(b"\0"))


def address_of(name):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        answer = fcntl.ioctl(any_socket, 0x8915, struct.pack("40s", name))  # SIOCGIFADDR
    return socket.inet_ntoa(answer[20:24])


def network_interfaces():
    """NetworkInterface.getNetworkInterfaces of OpenJDK: what SIOCGIFCONF says, each put before the last."""
    buffer = ctypes.create_string_buffer(40 * 100)
    request = struct.pack("iP", len(buffer), ctypes.addressof(buffer))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        length = struct.unpack("iP", fcntl.ioctl(any_socket, 0x8912, request))[0]  # SIOCGIFCONF
    found = [buffer.raw[at + 20:at + 24] for at in range(0, length, 40)]
    return [socket.inet_ntoa(address) for address in reversed(found)]


def by_index():
    """By the index: Spring Cloud's InetUtils takes the lowest."""
    for _, name in sorted(socket.if_nameindex()):
        yield address_of(name.encode())


def by_name():
    """As the C library lists the names."""
    for _, name in socket.if_nameindex():
        yield address_of(name.encode())


def by_route():
    """The address that a connection to elsewhere has; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        any_socket.connect(("192.0.2.1", 9))
        yield any_socket.getsockname()[0]


for way in getifaddrs, interface_addrs, interfaces, network_interfaces, by_index, by_name, by_route:
    print(way.__name__, next(address for address in way() if not address.startswith(LOOPBACK)))
