//! The first connections that a task makes, right after its start.

use crate::{
    Programs,
    report::Report,
    timed::{Series, Took},
    world::{self, ENI_MAC, Netns},
};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

/// Serves one byte a connection, as long as this process lives.
fn serve(netns: &Netns, address: &str) {
    let listener = netns.within(|| TcpListener::bind(address)).expect("bound");
    std::thread::spawn(move || {
        while let Ok((mut client, _)) = listener.accept() {
            client.write_all(b"x").ok();
        }
    });
}

fn first_byte(netns: &Netns, address: &str) -> Duration {
    let address: SocketAddr = address.parse().expect("an address");
    netns.within(|| {
        let begin = Instant::now();
        let mut stream = TcpStream::connect(address).expect("connected");
        stream.read_exact(&mut [0]).expect("a byte");
        begin.elapsed()
    })
}

pub fn run(programs: &Programs, starts: usize, report: &mut Report) {
    let instance = world::instance(&programs.hook);
    world::attach(&instance, "eth1", ENI_MAC);
    instance.router.ip("address add 10.0.0.1/24 dev far-eth1");
    serve(&instance.netns, "127.0.0.1:51679");
    serve(&instance.router, "10.0.0.1:80");
    let mut series = [Series::default(), Series::default()];
    for number in 0..starts {
        let pause = world::pause(format!("first-{number}"));
        programs.start_hook(&instance, &pause, ENI_MAC).done();
        // In a VPC the far end is always up. Here it is a veth's, and the kernel gets to it later.
        while !instance.router.ip("link show far-eth1").contains("state UP") {}
        let netns = pause.netns();
        for (series, address) in series.iter_mut().zip(["169.254.170.2:80", "10.0.0.1:80"]) {
            series.0.push(Took { time: first_byte(&netns, address), memory: 0 });
        }
        programs.stop_hook(&instance, &pause, ENI_MAC);
    }
    report.title(&format!("First byte right after the start, {starts} starts"));
    for (series, what) in series.iter().zip(["credentials", "VPC"]) {
        report.figure(&format!("{what}, median ms"), series.median());
        report.bound(&format!("{what}, maximum ms"), series.quantile(1.0), 50.0);
    }
}
