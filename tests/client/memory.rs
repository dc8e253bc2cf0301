//! The memory of a process, as Linux tells it.

/// A figure of it, in MiB: `VmRSS`, what it has, or `VmHWM`, the most that it ever had; not a number when it is gone.
pub(crate) fn memory(process: u32, figure: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line =
        status.lines().find_map(|line| line.strip_prefix(figure)?.strip_prefix(':')).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or(f64::NAN) / 1024.0
}
