//! A code as something to look at, with the quiet zone around it that readers need (ISO/IEC 18004).

use qrcode::render::{svg, unicode};
use qrcode::{Color, EcLevel, QrCode};

/// What a code is shown as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Picture {
    /// For pages and print.
    Svg,
    /// For chats and mails.
    Png,
    /// For terminals, which are dark: the light parts are drawn.
    Text,
}

/// The side of a module in a PNG, in pixels, and the quiet zone, in modules.
const SCALE: usize = 8;
const QUIET: usize = 4;

impl Picture {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Svg, Self::Png, Self::Text];

    /// The end of a file's name.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Svg => "svg",
            Self::Png => "png",
            Self::Text => "txt",
        }
    }

    /// Its media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Svg => "image/svg+xml",
            Self::Png => "image/png",
            Self::Text => "text/plain; charset=utf-8",
        }
    }

    /// Draws a text; nothing if it is too long for any code.
    #[must_use]
    pub fn draw(self, text: &str) -> Option<Vec<u8>> {
        let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
        Some(match self {
            Self::Svg => code.render::<svg::Color<'_>>().min_dimensions(256, 256).build().into_bytes(),
            Self::Png => png(&code)?,
            Self::Text => {
                let drawn = code
                    .render::<unicode::Dense1x2>()
                    .dark_color(unicode::Dense1x2::Light)
                    .light_color(unicode::Dense1x2::Dark)
                    .build();
                (drawn + "\n").into_bytes()
            }
        })
    }
}

/// Grey, a byte a pixel.
fn png(code: &QrCode) -> Option<Vec<u8>> {
    let width = code.width();
    let side = width.checked_add(2 * QUIET)?.checked_mul(SCALE)?;
    let modules = code.to_colors();
    let dark = |x: usize, y: usize| {
        let place = |pixel: usize| (pixel / SCALE).checked_sub(QUIET).filter(|module| *module < width);
        place(x).zip(place(y)).is_some_and(|(x, y)| modules.get(y * width + x) == Some(&Color::Dark))
    };
    let pixels: Vec<u8> = (0..side)
        .flat_map(|y| (0..side).map(move |x| (x, y)))
        .map(|(x, y)| if dark(x, y) { 0 } else { 255 })
        .collect();
    let mut file = Vec::new();
    let side = u32::try_from(side).ok()?;
    let mut encoder = ::png::Encoder::new(&mut file, side, side);
    encoder.set_color(::png::ColorType::Grayscale);
    encoder.set_depth(::png::BitDepth::Eight);
    encoder.write_header().ok()?.write_image_data(&pixels).ok()?;
    Some(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_can_be_drawn_and_what_fits_no_code_is_not() {
        for (kind, begins) in
            [(Picture::Svg, &b"<?xml"[..]), (Picture::Png, b"\x89PNG"), (Picture::Text, "█".as_bytes())]
        {
            let drawn = kind.draw("000201").expect("it is short");
            assert!(drawn.starts_with(begins), "{kind:?}");
            assert_eq!(kind.draw(&"x".repeat(3000)), None);
        }
    }
}
