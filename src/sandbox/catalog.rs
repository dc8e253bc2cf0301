//! What the stand-in sells: plans and prices as a Vietnamese hosting company would have them.

/// A plan.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) id: i64,
    pub(super) name: &'static str,
    /// Đồng a month.
    pub(super) price: i64,
    pub(super) cpu: &'static str,
    pub(super) memory: &'static str,
    pub(super) disk: &'static str,
    /// Mailboxes of an email plan, websites of a hosting plan.
    pub(super) count: i64,
}

const fn plan(
    id: i64,
    name: &'static str,
    price: i64,
    cpu: &'static str,
    memory: &'static str,
    disk: &'static str,
    count: i64,
) -> Plan {
    Plan { id, name, price, cpu, memory, disk, count }
}

pub(super) const VPS: [Plan; 5] = [
    plan(25, "VPS SSD 1", 89_000, "1 vCPU", "1 GB", "20 GB SSD", 0),
    plan(26, "VPS SSD 2", 149_000, "2 vCPU", "2 GB", "40 GB SSD", 0),
    plan(27, "VPS NVMe 4", 279_000, "4 vCPU", "4 GB", "60 GB NVMe", 0),
    plan(28, "VPS NVMe 8", 519_000, "6 vCPU", "8 GB", "100 GB NVMe", 0),
    plan(29, "VPS NVMe 16", 1_190_000, "8 vCPU", "16 GB", "200 GB NVMe", 0),
];

pub(super) const HOSTING: [Plan; 3] = [
    plan(11, "Hosting Cá nhân", 29_000, "1 core", "1 GB", "2 GB SSD", 1),
    plan(12, "Hosting Doanh nghiệp", 79_000, "2 core", "2 GB", "10 GB SSD", 5),
    plan(13, "Hosting WordPress Pro", 159_000, "4 core", "4 GB", "30 GB NVMe", 20),
];

pub(super) const EMAIL: [Plan; 2] = [
    plan(41, "Email Starter", 49_000, "", "", "10 GB", 5),
    plan(42, "Email Business", 129_000, "", "", "50 GB", 25),
];

/// A product that is sold as a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Product {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    /// Đồng for one.
    pub(super) price: i64,
    pub(super) stock: i64,
}

pub(super) const KEYS: [Product; 3] = [
    Product { id: "proxy-vn-4g", name: "Proxy VN 4G xoay 30 ngày", price: 65_000, stock: 120 },
    Product { id: "proxy-vn-dc", name: "Proxy VN datacenter 30 ngày", price: 25_000, stock: 800 },
    Product { id: "proxy-us-dc", name: "Proxy US datacenter 30 ngày", price: 35_000, stock: 0 },
];

pub(super) const LICENSES: [Product; 2] = [
    Product { id: "cpanel-5", name: "cPanel Admin 5 accounts", price: 520_000, stock: 99 },
    Product { id: "directadmin", name: "DirectAdmin Standard", price: 190_000, stock: 99 },
];

pub(super) const ACCOUNTS: [Product; 2] = [
    Product { id: "mail-aged", name: "Tài khoản email lâu năm", price: 12_000, stock: 500 },
    Product { id: "cloud-trial", name: "Tài khoản cloud dùng thử", price: 80_000, stock: 10 },
];

/// The billing cycles and their months.
pub(super) const CYCLES: [(&str, i64); 4] =
    [("monthly", 1), ("quarterly", 3), ("semiannually", 6), ("annually", 12)];

/// The operating systems a VPS can have.
pub(super) const SYSTEMS: [&str; 5] =
    ["ubuntu-22.04", "ubuntu-24.04", "debian-12", "almalinux-9", "windows-2022"];

/// What a plan costs for some months: a year has two months free.
pub(super) fn price(monthly: i64, months: i64) -> i64 {
    monthly * if months >= 12 { months - months / 6 } else { months }
}
