//! The names of things. Each is a type of its own, so that one can't be passed for another.

use std::fmt;

use uuid::Uuid;

/// Why a text is no id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// It is too short or too long.
    #[error("must have {min} to {max} characters, has {len}")]
    Length {
        /// The least it may have, in bytes.
        min: usize,
        /// The most it may have, in bytes.
        max: usize,
        /// What it has, in bytes.
        len: usize,
    },
    /// It has a character that is not allowed.
    #[error("must be printable ASCII without spaces")]
    Character,
    /// It looks like a mail address, which has no place outside of the box.
    #[error("must not be a mail address; choose an opaque id")]
    MailAddress,
    /// It is no UUID.
    #[error("must be a UUID")]
    Uuid,
}

fn parse_opaque(text: &str, min: usize, max: usize) -> Result<String, IdError> {
    let len = text.len();
    if len < min || len > max {
        return Err(IdError::Length { min, max, len });
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(IdError::Character);
    }
    if text.contains('@') {
        return Err(IdError::MailAddress);
    }
    Ok(text.to_owned())
}

macro_rules! opaque_id {
    ($(#[$doc:meta])* $name:ident, $min:literal, $max:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            #[doc = concat!("Takes ", $min, " to ", $max, " bytes of printable ASCII that are no mail address.")]
            pub fn parse(text: &str) -> Result<Self, IdError> {
                parse_opaque(text, $min, $max).map(Self)
            }

            /// The id as the client wrote it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

opaque_id!(
    /// The app's own id of its user.
    UserId, 1, 64
);
opaque_id!(
    /// The app's own id of one installation.
    DeviceId, 1, 64
);
opaque_id!(
    /// The app's own id of a mail account.
    Context, 5, 64
);
opaque_id!(
    /// An app that may register devices, by the id of its app key.
    AppId, 1, 64
);
opaque_id!(
    /// A key of a ring.
    KeyId, 1, 64
);

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// Takes a UUID for this id.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID.
            pub const fn as_uuid(self) -> Uuid {
                self.0
            }

            /// Parses a UUID in its usual form.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                Uuid::try_parse(text).map(Self).map_err(|_| IdError::Uuid)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }
    };
}

uuid_id!(
    /// A session.
    SessionId
);
uuid_id!(
    /// A push, one row of the outbox.
    PushId
);
uuid_id!(
    /// A backend that runs sessions.
    NodeId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_keep_their_limits() {
        assert!(Context::parse("12345").is_ok());
        assert_eq!(Context::parse("1234"), Err(IdError::Length { min: 5, max: 64, len: 4 }));
        assert_eq!(UserId::parse(""), Err(IdError::Length { min: 1, max: 64, len: 0 }));
        assert_eq!(UserId::parse("a b"), Err(IdError::Character));
        assert_eq!(UserId::parse("ü"), Err(IdError::Character));
        assert_eq!(UserId::parse("anna@example.org"), Err(IdError::MailAddress));
        assert!(SessionId::parse("not-a-uuid").is_err());
    }
}
