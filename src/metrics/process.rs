//! What the process takes of its machine, by the names that Prometheus's own libraries have for it.

use std::sync::atomic::Ordering;

use super::Figures;

/// Looks at the process. What cannot be read is left out.
pub fn process(figures: &Figures) {
    let set = |figure: &super::Figure<_>, value: Option<u64>| {
        if let Some(value) = value {
            let gauge: prometheus_client::metrics::gauge::Gauge<f64, _> = figure.at([]);
            gauge.set(value as f64);
        }
    };
    let status = read("self/status");
    let kib = |name: &str| number(status.lines().find(|line| line.starts_with(name))?, 1)?.checked_mul(1024);
    set(&figures.process_resident_memory, kib("VmRSS:"));
    set(&figures.process_virtual_memory, kib("VmSize:"));
    let limits = read("self/limits");
    set(
        &figures.process_max_fds,
        limits.lines().find(|line| line.starts_with("Max open files")).and_then(|line| number(line, 3)),
    );
    // Without the one that this look takes.
    let open =
        std::fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count().saturating_sub(1) as u64);
    set(&figures.process_open_fds, open);
    // Behind the name in brackets, which may hold anything, the fields begin with the third (proc(5)): these are the 14th, the
    // 15th and the 22nd.
    let stat = read("self/stat");
    let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
    let seconds = |ticks: u64| ticks as f64 / rustix::param::clock_ticks_per_second().max(1) as f64;
    if let (Some(user), Some(system)) = (number(after, 11), number(after, 12)) {
        let spent = seconds(user.saturating_add(system));
        // The bits of a number that is not below zero grow with it.
        let _before = figures.process_cpu.at([]).inner().fetch_max(spent.to_bits(), Ordering::Relaxed);
    }
    let machine = read("stat");
    let booted = machine.lines().find(|line| line.starts_with("btime "));
    if let (Some(booted), Some(after_boot)) = (booted.and_then(|line| number(line, 1)), number(after, 19)) {
        figures.process_start_time.at([]).set(booted as f64 + seconds(after_boot));
    }
}

#[expect(clippy::disallowed_methods, reason = "what the system says of this process is no setting")]
fn read(name: &str) -> String {
    std::fs::read_to_string(format!("/proc/{name}")).unwrap_or_default()
}

/// A word of a line as a number.
fn number(line: &str, word: usize) -> Option<u64> {
    line.split_ascii_whitespace().nth(word)?.parse().ok()
}
