//! Drives quiche. Knows neither Node nor sockets: datagrams and times are arguments.
