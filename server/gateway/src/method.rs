//! The methods that we serve, by their paths.

/// What a method may take of us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// A call of a device: rates, and the limit of calls under way.
    Call,
    /// A stream to a device: rates, and a limit of its own until it ends.
    Watch,
    /// Streams that need no admission (reflection, health's Watch), and paths that we don't know: rates, and a limit
    /// of their own.
    Side,
    /// Is the gateway alive? Always answered: a balancer must not take a busy gateway for a dead one.
    Health,
}

/// A method, by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Method {
    /// `pinger.v1.DeviceService/Register`; nothing that a caller made up.
    pub(crate) name: &'static str,
    pub(crate) lane: Lane,
}

impl Method {
    pub(crate) fn of(path: &str) -> Self {
        let (name, lane) = match path {
            "/pinger.v1.DeviceService/GetSealingKeys" => ("pinger.v1.DeviceService/GetSealingKeys", Lane::Call),
            "/pinger.v1.DeviceService/Register" => ("pinger.v1.DeviceService/Register", Lane::Call),
            "/pinger.v1.DeviceService/Defer" => ("pinger.v1.DeviceService/Defer", Lane::Call),
            "/pinger.v1.DeviceService/Stop" => ("pinger.v1.DeviceService/Stop", Lane::Call),
            "/pinger.v1.DeviceService/GetSession" => ("pinger.v1.DeviceService/GetSession", Lane::Call),
            "/pinger.v1.DeviceService/WatchSession" => ("pinger.v1.DeviceService/WatchSession", Lane::Watch),
            "/grpc.health.v1.Health/Check" => ("grpc.health.v1.Health/Check", Lane::Health),
            "/grpc.health.v1.Health/Watch" => ("grpc.health.v1.Health/Watch", Lane::Side),
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo" => {
                ("grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Lane::Side)
            }
            _ => ("unknown/unknown", Lane::Side),
        };
        Self { name, lane }
    }

    /// Service and method.
    pub(crate) fn parts(self) -> (&'static str, &'static str) {
        self.name.split_once('/').unwrap_or((self.name, ""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_of_a_caller_becomes_a_name() {
        assert_eq!(Method::of("/pinger.v1.DeviceService/Stop").parts(), ("pinger.v1.DeviceService", "Stop"));
        for path in ["", "/", "/pinger.v1.DeviceService/Steal", "/pinger.internal.v1.BackendService/Stop"] {
            assert_eq!(Method::of(path), Method { name: "unknown/unknown", lane: Lane::Side });
        }
    }
}
