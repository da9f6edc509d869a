//! Forms of values that stand in several places of the contract, as regular expressions.

/// A name of an object, a product or a model: a DNS subdomain.
pub const NAME: &str = "^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$";

/// Hours, minutes and seconds, in this order.
pub const DURATION: &str = "^([0-9]+h)?([0-9]+m)?([0-9]+s)?$";

/// Hours and minutes of a day.
pub const HOUR: &str = "^([01][0-9]|2[0-3]):[0-5][0-9]$";

/// A name of the IANA time zone database.
pub const TIME_ZONE: &str = "^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$";

/// A Kubernetes quantity of processors.
pub const CORES: &str = r"^[0-9]+(\.[0-9]+)?m?$";

/// A Kubernetes quantity of whatever is counted.
pub const NUMBER: &str = r"^[0-9]+(\.[0-9]+)?(m|k|M)?$";

/// A Kubernetes quantity of bytes.
pub const BYTES: &str = r"^[0-9]+(\.[0-9]+)?(k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$";

/// A reference of a container image.
pub const IMAGE: &str = "^[A-Za-z0-9][A-Za-z0-9._:/@-]*$";

/// A path below a folder.
pub const PATH: &str = "^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$";
