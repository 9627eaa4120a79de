//! Names of members under which parts of a prompt have what is no text.

/// Members under which images, documents and recordings stand, in either dialect, quoted.
pub(crate) const MEDIA: [&[u8]; 20] = [
    b"\"audio\"",
    b"\"audio_url\"",
    b"\"document\"",
    b"\"document_url\"",
    b"\"file\"",
    b"\"file_data\"",
    b"\"file_id\"",
    b"\"file_url\"",
    b"\"image\"",
    b"\"image_embeds\"",
    b"\"image_url\"",
    b"\"input_audio\"",
    b"\"input_image\"",
    b"\"input_video\"",
    b"\"media\"",
    b"\"source\"",
    b"\"uri\"",
    b"\"url\"",
    b"\"video\"",
    b"\"video_url\"",
];
